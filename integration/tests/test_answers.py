"""AWS's answers, with real requests: each with a twin that passes, over every store."""

import base64
import concurrent.futures
import hashlib
import urllib.parse
import xml.etree.ElementTree
import zlib

import pytest
from botocore.exceptions import ClientError

from harness import raw
from harness.clients import s3
from harness.model import etag
from harness.plain import Plain, ok, texts, upload

BODY = b"some bytes of an object"


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def parses(answer):
    return xml.etree.ElementTree.fromstring(answer.body)


def says(answer, status, code, *words):
    assert (answer.status, answer.code) == (status, code), answer
    assert all(word.encode() in answer.body for word in words), (words, answer)


# --- queries ------------------------------------------------------------------------------------------


def test_a_checksum_in_a_presigned_query_is_signed_and_passed_over(gateway, bucket):
    """As the JavaScript SDK's getSignedUrl makes it: the checksum of no body at all."""
    for name in ("x-amz-checksum-crc32", "X-Amz-Checksum-Crc32"):
        query = raw.presign(gateway, "PUT", f"/{bucket}/k", [(name, "AAAAAA=="), ("x-amz-sdk-checksum-algorithm", "CRC32"), ("x-id", "PutObject")])
        assert raw.send(gateway, "PUT", f"/{bucket}/k", query, body=BODY).status == 200
        assert ok(gateway, "GET", f"/{bucket}/k").body == BODY
        # It is signed all the same.
        other = [(k, "AAAAAQ==" if v == "AAAAAA==" else v) for k, v in query]
        says(raw.send(gateway, "PUT", f"/{bucket}/k", other, body=BODY), 403, "SignatureDoesNotMatch")
    # As a signed header it is verified.
    for value, status in ((crc32(BODY), 200), (crc32(b"other"), 400)):
        headers = [("x-amz-checksum-crc32", value)]
        query = raw.presign(gateway, "PUT", f"/{bucket}/k", [("x-amz-checksum-crc32", "AAAAAA==")], headers=headers)
        answer = raw.send(gateway, "PUT", f"/{bucket}/k", query, headers=headers, body=BODY)
        assert answer.status == status and answer.code in (None, "BadDigest"), answer


def test_what_means_nothing_in_a_query(gateway, client, bucket):
    client.put_object(Bucket=bucket, Key="style.css", Body=BODY)
    for query in ([("v", "3")], [("utm_source", "a"), ("fbclid", "b")], [("x-anything", "1")]):
        for method in ("GET", "HEAD"):
            assert ok(gateway, method, f"/{bucket}/style.css", query).body == (BODY if method == "GET" else b"")
    for query in ([("versionid", "3")], [("partnumber", "1")], [("ACLs", ""), ("torrent", "")], [("x-amz-v", "3")]):
        assert raw.request(gateway, "GET", f"/{bucket}/style.css", query).status == 501, query
    ok(gateway, "GET", f"/{bucket}", [("x-page", "1"), ("list-type", "2")])
    for method, path in (("DELETE", "style.css"), ("PUT", "style.css"), ("GET", ""), ("DELETE", "")):
        says(raw.request(gateway, method, f"/{bucket}/{path}".rstrip("/"), [("v", "3")]), 501, "NotImplemented", "'v'")
    assert ok(gateway, "GET", f"/{bucket}/style.css").body == BODY


# --- what is the same for every bucket ----------------------------------------------------------------

NOTHING = {
    "cors": "NoSuchCORSConfiguration", "lifecycle": "NoSuchLifecycleConfiguration", "tagging": "NoSuchTagSet", "website": "NoSuchWebsiteConfiguration",
    "replication": "ReplicationConfigurationNotFoundError", "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "object-lock": "ObjectLockConfigurationNotFoundError",
}


def test_configurations_that_are_not_there(gateway, bucket):
    for name, code in NOTHING.items():
        says(raw.request(gateway, "GET", f"/{bucket}", [(name, "")]), 404, code, bucket)
        says(raw.request(gateway, "GET", f"/{bucket}-not", [(name, "")]), 404, "NoSuchBucket")
    for name in ("metrics", "analytics", "inventory", "intelligent-tiering"):
        says(raw.request(gateway, "GET", f"/{bucket}", [(name, ""), ("id", "a")]), 404, "NoSuchConfiguration")
        assert texts(ok(gateway, "GET", f"/{bucket}", [(name, "")]), "IsTruncated") == ["false"]
    # What would change one says its name.
    for method, name, operation in (("PUT", "cors", "PutBucketCors"), ("DELETE", "lifecycle", "DeleteBucketLifecycle"), ("PUT", "versioning", "PutBucketVersioning"),
                                    ("PUT", "acl", "PutBucketAcl"), ("GET", "abac", "GetBucketAbac")):
        says(raw.request(gateway, method, f"/{bucket}", [(name, "")]), 501, "NotImplemented", f"<Message>{operation} is not implemented.</Message>")


def test_configurations_that_are_the_same_for_all(gateway, client, bucket):
    assert "Status" not in client.get_bucket_versioning(Bucket=bucket)
    assert client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert client.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert "Status" not in client.get_bucket_accelerate_configuration(Bucket=bucket)
    assert "LoggingEnabled" not in client.get_bucket_logging(Bucket=bucket)
    found = client.get_bucket_notification_configuration(Bucket=bucket)
    assert set(found) == {"ResponseMetadata"}
    owner = client.list_buckets()["Owner"]
    client.put_object(Bucket=bucket, Key="a b", Body=BODY)
    for acl in (client.get_bucket_acl(Bucket=bucket), client.get_object_acl(Bucket=bucket, Key="a b")):
        assert acl["Owner"] == owner
        assert acl["Grants"] == [{"Grantee": {"Type": "CanonicalUser", **owner}, "Permission": "FULL_CONTROL"}]
    says(raw.request(gateway, "GET", f"/{bucket}/missing", [("acl", "")]), 404, "NoSuchKey")


def test_versions_of_an_unversioned_bucket(gateway, client, bucket):
    keys = ["a", "b/1", "b/2", "c d", "\u00e9"]
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    page = client.list_object_versions(Bucket=bucket)
    assert [v["Key"] for v in page["Versions"]] == keys and not page["IsTruncated"]
    assert {(v["VersionId"], v["IsLatest"]) for v in page["Versions"]} == {("null", True)} and "DeleteMarkers" not in page
    assert page["Versions"][0]["ETag"] == f'"{hashlib.md5(b"a").hexdigest()}"' and page["Versions"][0]["Owner"] == client.list_buckets()["Owner"]
    page = client.list_object_versions(Bucket=bucket, Delimiter="/")
    assert [v["Key"] for v in page["Versions"]] == ["a", "c d", "\u00e9"] and page["CommonPrefixes"] == [{"Prefix": "b/"}]
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    assert [v["Key"] for page in pages for v in page["Versions"]] == keys
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 1})
    assert sorted(entry.get("Key") or entry["Prefix"] for page in pages for entry in page.get("Versions", []) + page.get("CommonPrefixes", [])) == ["a", "b/", "c d", "\u00e9"]
    says(raw.request(gateway, "GET", f"/{bucket}", [("versions", ""), ("version-id-marker", "null")]), 400, "InvalidArgument")
    for version in page["Versions"]:
        assert client.get_object(Bucket=bucket, Key=version["Key"], VersionId="null")["Body"].read() == version["Key"].encode()


# --- single answers -----------------------------------------------------------------------------------


def test_what_has_not_changed_is_named(gateway, client, bucket):
    client.put_object(Bucket=bucket, Key="k", Body=BODY)
    head = ok(gateway, "HEAD", f"/{bucket}/k").headers
    for method in ("GET", "HEAD"):
        answer = raw.request(gateway, method, f"/{bucket}/k", headers=[("if-none-match", head["etag"])])
        assert (answer.status, answer.body) == (304, b"")
        assert (answer.headers["etag"], answer.headers["last-modified"]) == (head["etag"], head["last-modified"]), answer.headers


def test_the_last_bytes_of_nothing(gateway, client, bucket):
    client.put_object(Bucket=bucket, Key="empty", Body=b"")
    client.put_object(Bucket=bucket, Key="full", Body=BODY)
    for method in ("GET", "HEAD"):
        answer = raw.request(gateway, method, f"/{bucket}/empty", headers=[("range", "bytes=-5")])
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0") and "content-range" not in answer.headers, answer
        for none in ("bytes=0-", "bytes=0-0", "bytes=-0"):
            assert raw.request(gateway, method, f"/{bucket}/empty", headers=[("range", none)]).status == 416, none
    answer = raw.request(gateway, "GET", f"/{bucket}/full", headers=[("range", "bytes=-5")])
    assert (answer.status, answer.body) == (206, BODY[-5:])


def test_content_encoding_comes_back_as_it_was_sent(gateway, bucket):
    for sent in ("gzip", "gzip, deflate", "br,gzip"):
        ok(gateway, "PUT", f"/{bucket}/k", headers=[("content-encoding", sent)], body=BODY)
        assert ok(gateway, "HEAD", f"/{bucket}/k").headers["content-encoding"] == sent


def test_location_of_a_completed_upload(gateway, bucket):
    for key in ("a b/c", "\u00e9+&"):
        identity = texts(ok(gateway, "POST", f"/{bucket}/{key}", [("uploads", "")]), "UploadId")[0]
        part = ok(gateway, "PUT", f"/{bucket}/{key}", [("partNumber", "1"), ("uploadId", identity)], body=BODY)
        document = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part></CompleteMultipartUpload>"
        answer = ok(gateway, "POST", f"/{bucket}/{key}", [("uploadId", identity)], body=document.encode())
        assert texts(answer, "Location") == [f"{gateway.url}/{bucket}/{urllib.parse.quote(key)}"]


def test_parts_have_the_checksum_of_their_upload(disk):
    client, bucket = s3(disk), "parts-of-one-kind"
    client.create_bucket(Bucket=bucket)
    opened = client.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")
    part = dict(Bucket=bucket, Key="k", UploadId=opened["UploadId"], PartNumber=1, Body=BODY)
    with pytest.raises(ClientError) as refused:
        client.upload_part(ChecksumAlgorithm="CRC32", **part)
    error = refused.value.response["Error"]
    assert error["Code"] == "InvalidRequest" and "expected checksum Type: sha256, actual checksum Type: crc32" in error["Message"], error
    assert client.upload_part(ChecksumAlgorithm="SHA256", **part)["ChecksumSHA256"]


def test_governance(gateway, client, bucket):
    client.put_object(Bucket=bucket, Key="k", Body=BODY)
    bypass = lambda value: [("x-amz-bypass-governance-retention", value)]
    document = b"<Delete><Object><Key>k</Key></Object></Delete>"
    digest = [("content-md5", base64.b64encode(hashlib.md5(document).digest()).decode())]
    for value in ("true", "True", "yes"):
        says(raw.request(gateway, "DELETE", f"/{bucket}/k", headers=bypass(value)), 400, "InvalidArgument", "Object Lock")
    assert ok(gateway, "GET", f"/{bucket}/k").body == BODY
    for value in ("false", "False"):
        ok(gateway, "DELETE", f"/{bucket}/k", headers=bypass(value))
    # Tools that empty buckets say it of every bucket.
    for value in ("true", "false"):
        client.put_object(Bucket=bucket, Key="k", Body=BODY)
        ok(gateway, "POST", f"/{bucket}", [("delete", "")], bypass(value) + digest, document)
        says(raw.request(gateway, "GET", f"/{bucket}/k"), 404, "NoSuchKey")
        says(raw.request(gateway, "PUT", f"/{bucket}/k", headers=bypass(value), body=BODY), 501, "NotImplemented", "x-amz-bypass-governance-retention")


def test_where_a_bucket_is_made(gateway, bucket):
    made = lambda inner, name=f"{bucket}-2": raw.request(gateway, "PUT", f"/{name}", body=f"<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>".encode())
    says(made("<LocationConstraint>mars-north-1</LocationConstraint>"), 400, "InvalidLocationConstraint", "mars-north-1")
    for region in ("EU", "eu-west-1"):
        says(made(f"<LocationConstraint>{region}</LocationConstraint>"), 400, "IllegalLocationConstraintException", region)
    says(made("<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>"), 501, "NotImplemented", "Tags")
    says(made("<Nothing/>"), 400, "MalformedXML")
    assert raw.request(gateway, "HEAD", f"/{bucket}-2").status == 404
    assert made("<LocationConstraint>us-east-1</LocationConstraint>").status == 200
    # Again: never taken for the first time.
    says(made(""), 409, "BucketAlreadyOwnedByYou")


def test_a_version_that_none_could_be(disk):
    client = s3(disk)
    client.create_bucket(Bucket="odd-versions")
    client.put_object(Bucket="odd-versions", Key="k", Body=BODY)
    for method in ("GET", "DELETE"):
        for version in ("v", "null ", "x" * 31, "x" * 33, "x" * 31 + "/", "\u00e9" * 32):
            says(raw.request(disk, method, "/odd-versions/k", [("versionId", version)]), 400, "InvalidArgument", "Invalid version id specified")
    says(raw.request(disk, "GET", "/odd-versions/k", [("versionId", "x" * 32)]), 404, "NoSuchVersion")
    ok(disk, "DELETE", "/odd-versions/k", [("versionId", "x" * 32)])
    assert ok(disk, "GET", "/odd-versions/k", [("versionId", "null")]).body == BODY
    ok(disk, "DELETE", "/odd-versions/k", [("versionId", "null")])
    assert raw.request(disk, "GET", "/odd-versions/k").status == 404


def test_parameters_of_the_other_listing(gateway, bucket):
    for name in ("start-after", "continuation-token", "fetch-owner"):
        says(raw.request(gateway, "GET", f"/{bucket}", [(name, "a")]), 400, "InvalidArgument", name)
    says(raw.request(gateway, "GET", f"/{bucket}", [("list-type", "2"), ("marker", "a")]), 400, "InvalidArgument", "marker")
    ok(gateway, "GET", f"/{bucket}", [("list-type", "2"), ("start-after", "a")])
    ok(gateway, "GET", f"/{bucket}", [("marker", "a")])


def test_a_deletion_of_many_needs_a_digest(gateway, client, bucket):
    client.put_object(Bucket=bucket, Key="k", Body=BODY)
    document = b"<Delete><Object><Key>k</Key></Object></Delete>"
    delete = lambda *headers: raw.request(gateway, "POST", f"/{bucket}", [("delete", "")], list(headers), document, digest=False)
    says(delete(), 400, "InvalidRequest", "Content-MD5")
    for name in ("x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm"):
        says(delete((name, "CRC32")), 400, "InvalidRequest")
    says(delete(("x-amz-checksum-crc32", crc32(b"other"))), 400, "BadDigest")
    says(delete(("x-amz-checksum-crc32", crc32(document)), ("x-amz-checksum-sha256", base64.b64encode(hashlib.sha256(document).digest()).decode())), 400, "InvalidRequest")
    says(delete(("x-amz-sdk-checksum-algorithm", "SHA256"), ("x-amz-checksum-crc32", crc32(document))), 400, "InvalidRequest")
    assert ok(gateway, "GET", f"/{bucket}/k").body == BODY
    assert texts(delete(("x-amz-sdk-checksum-algorithm", "CRC32"), ("x-amz-checksum-crc32", crc32(document))), "Key") == ["k"]
    assert texts(delete(("content-md5", base64.b64encode(hashlib.md5(document).digest()).decode())), "Key") == ["k"]


ODD = "a\x01b"


def test_lists_always_parse(disk):
    client = s3(disk)
    client.create_bucket(Bucket="odd-names")
    ok(disk, "PUT", f"/odd-names/{ODD}", body=BODY)
    client.put_object(Bucket="odd-names", Key="plain\r\u007f", Body=BODY)
    listings = ([], [("list-type", "2")], [("versions", "")])
    for query in listings:
        answer = raw.request(disk, "GET", "/odd-names", query)
        parses(answer)
        says(answer, 400, "InvalidRequest", "encoding-type=url")
        answer = raw.request(disk, "GET", "/odd-names", [*query, ("encoding-type", "url")])
        parses(answer)
        assert answer.status == 200 and b"a%01b" in answer.body, answer
        # What a client says itself is no better.
        for name in ("prefix", "delimiter"):
            parses(raw.request(disk, "GET", "/odd-names", [*query, (name, "\x02")]))
    for name in ("prefix", "delimiter"):
        parses(raw.request(disk, "GET", "/odd-names", [("uploads", ""), (name, "\x02")]))
    assert [o["Key"] for o in client.list_objects_v2(Bucket="odd-names")["Contents"]] == [ODD, "plain\r\u007f"]
    for answer in (raw.request(disk, "POST", f"/odd-names/{ODD}", [("uploads", "")]), raw.request(disk, "GET", f"/odd-names/{ODD}-not"), raw.request(disk, "GET", f"/odd-names/{ODD}", [("acl", "")])):
        parses(answer)
    # No document can carry the name, whichever way it is written.
    for name in ("&#1;", "&#x1;", "\x01", "\ufffe", "&#xffff;"):
        document = f"<Delete><Object><Key>a{name}b</Key></Object></Delete>".encode()
        digest = [("content-md5", base64.b64encode(hashlib.md5(document).digest()).decode())]
        says(raw.request(disk, "POST", "/odd-names", [("delete", "")], digest, document), 400, "MalformedXML")
    assert ok(disk, "GET", f"/odd-names/{ODD}").body == BODY
    ok(disk, "DELETE", f"/odd-names/{ODD}")
    assert texts(ok(disk, "GET", "/odd-names"), "Key") == ["plain\r\u007f"]


def test_an_upload_is_never_of_another_name(gateway, client, bucket):
    """What answers could tell only as another key's is refused before anything is made."""
    fine = upload(gateway, bucket, "fine")
    for key in (ODD, "a\ufffeb"):
        says(raw.request(gateway, "POST", f"/{bucket}/{key}", [("uploads", "")]), 400, "InvalidRequest", "XML has not")
        says(raw.request(gateway, "GET", f"/{bucket}/{key}", [("uploadId", fine)]), 400, "InvalidRequest", "encoding-type=url")
        document = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
        says(raw.request(gateway, "POST", f"/{bucket}/{key}", [("uploadId", fine)], body=document), 400, "InvalidRequest", "XML has not")
    assert [one["Key"] for one in client.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["fine"]
    client.abort_multipart_upload(Bucket=bucket, Key="fine", UploadId=fine)


def test_a_hash_is_the_bodys_on_every_method(gateway, client, bucket):
    client.put_object(Bucket=bucket, Key="k", Body=BODY)
    wrong, nothing = hashlib.sha256(b"other").hexdigest(), hashlib.sha256(b"").hexdigest()
    asks = [("HEAD", f"/{bucket}/k", []), ("GET", f"/{bucket}/k", []), ("GET", f"/{bucket}", []), ("GET", "/", []), ("HEAD", f"/{bucket}", []), ("GET", f"/{bucket}", [("policy", "")]),
            ("POST", f"/{bucket}/k", [("uploads", "")]), ("PUT", f"/{bucket}-3", []), ("DELETE", f"/{bucket}/k", [("tagging", "")]), ("DELETE", f"/{bucket}/k", []), ("DELETE", f"/{bucket}", [])]
    for method, path, query in asks:
        answer = raw.request(gateway, method, path, query, payload=wrong)
        assert (answer.status, answer.code) == (400, None if method == "HEAD" else "XAmzContentSHA256Mismatch"), (method, path, answer)
        # A body that nobody asked for is no other than its hash says either.
        if method != "HEAD" and method != "PUT":
            assert raw.request(gateway, method, path, query, payload=nothing, body=b"a body").code == "XAmzContentSHA256Mismatch", (method, path)
    assert ok(gateway, "GET", f"/{bucket}/k").body == BODY
    assert ok(gateway, "GET", f"/{bucket}/k", body=b"a body").body == BODY
    for payload in (nothing, "UNSIGNED-PAYLOAD"):
        assert raw.request(gateway, "GET", f"/{bucket}/k", payload=payload).body == BODY
    ok(gateway, "DELETE", f"/{bucket}/k")


def test_preflight(gateway, bucket):
    asked = [("origin", "https://example.com"), ("access-control-request-method", "PUT")]
    for path, kind in ((f"/{bucket}/k", "OBJECT"), (f"/{bucket}", "BUCKET")):
        says(raw.send(gateway, "OPTIONS", path, headers=asked), 403, "AccessForbidden", "CORS is not enabled", f"<ResourceType>{kind}</ResourceType>", "<Method>PUT</Method>")
        says(raw.send(gateway, "OPTIONS", path, headers=asked[:1]), 400, "BadRequest")
        says(raw.send(gateway, "OPTIONS", path, headers=asked[1:]), 400, "BadRequest", "Origin")
    assert raw.request(gateway, "PATCH", f"/{bucket}/k").status == 405
    assert raw.request(gateway, "GET", f"/{bucket}", headers=asked[:1]).status == 200


def test_an_empty_expectation(gateway, bucket):
    ok(gateway, "PUT", f"/{bucket}/k", headers=[("expect", "")], body=BODY)
    assert ok(gateway, "GET", f"/{bucket}/k").body == BODY
    says(raw.request(gateway, "PUT", f"/{bucket}/k", headers=[("expect", "200")], body=BODY), 417, "ExpectationFailed")


def test_pipelined_requests_are_answered_or_the_connection_says_close(disk):
    client = s3(disk)
    client.create_bucket(Bucket="pipelined")
    for n in range(3):
        client.put_object(Bucket="pipelined", Key=str(n), Body=str(n).encode())
    asked = [raw.render(disk, "GET", f"/pipelined/{n}", headers=raw.signed_headers(disk, "GET", f"/pipelined/{n}")) for n in range(3)]
    put = raw.render(disk, "PUT", "/pipelined/new", headers=raw.signed_headers(disk, "PUT", "/pipelined/new", body=BODY), body=BODY)
    for requests, bodies in ((asked, [b"0", b"1", b"2"]), ([put, asked[1]], [b"", b"1"])):
        with raw.Connection(disk) as connection:
            connection.send(b"".join(requests))
            for body in bodies:
                answer = connection.answer()
                assert (answer.status, answer.body) == (200, body)
                if answer.headers.get("connection") == "close":
                    assert connection.is_closed()
                    break


def completes(gateway, bucket, key, identity, parts, headers=()):
    listed = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag(part)}</ETag></Part>" for n, part in parts)
    return raw.request(gateway, "POST", f"/{bucket}/{key}", [("uploadId", identity)], headers, f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode())


def test_an_upload_is_completed_once_and_says_so_again(gateway, bucket):
    identity = upload(gateway, bucket, "k", (BODY,))
    first = completes(gateway, bucket, "k", identity, [(1, BODY)])
    assert first.status == 200
    again = completes(gateway, bucket, "k", identity, [(1, BODY)])
    if gateway.kind == "ceph":
        # Its word is passed on.
        assert again.status == 200 or (again.status, again.code) == (404, "NoSuchUpload"), again
    else:
        assert (again.status, texts(again, "ETag")) == (200, texts(first, "ETag")), again
    assert ok(gateway, "GET", f"/{bucket}/k").body == BODY


def test_a_second_completion_is_of_the_same_upload_and_parts(work):
    with Plain(work / "completed-twice", "") as gateway:
        ok(gateway, "PUT", "/twice")
        identity = upload(gateway, "twice", "k", (BODY, b"other"))
        absent = [("if-none-match", "*")]
        first = completes(gateway, "twice", "k", identity, [(2, b"other")], absent)
        assert first.status == 200
        told = ok(gateway, "HEAD", "/twice/k").headers["last-modified"]
        for headers in ((), absent, [("x-amz-mp-object-size", "5")]):
            assert texts(completes(gateway, "twice", "k", identity, [(2, b"other")], headers), "ETag") == texts(first, "ETag")
        for parts in ([(1, BODY)], [(1, b"other")], [(1, BODY), (2, b"other")], [(3, b"other")]):
            says(completes(gateway, "twice", "k", identity, parts), 404, "NoSuchUpload")
        says(completes(gateway, "twice", "other", identity, [(2, b"other")]), 404, "NoSuchUpload")
        says(completes(gateway, "twice", "k", "0" * 32, [(2, b"other")]), 404, "NoSuchUpload")
        says(completes(gateway, "twice", "k", identity, [(2, b"other")], [("x-amz-mp-object-size", "6")]), 400, "InvalidRequest")
        gateway.stop()
        gateway.start()
        assert texts(completes(gateway, "twice", "k", identity, [(2, b"other")]), "ETag") == texts(first, "ETag")
        assert ok(gateway, "HEAD", "/twice/k").headers["last-modified"] == told
        # What has come to the key since is another's.
        ok(gateway, "PUT", "/twice/k", body=b"new")
        says(completes(gateway, "twice", "k", identity, [(2, b"other")]), 404, "NoSuchUpload")
        assert ok(gateway, "GET", "/twice/k").body == b"new"


@pytest.mark.parametrize("condition", [(), [("if-none-match", "*")]])
def test_who_completes_beside_another_is_answered_alike(work, condition):
    with Plain(work / f"completed-at-once-{len(condition)}", "") as gateway, concurrent.futures.ThreadPoolExecutor(8) as pool:
        ok(gateway, "PUT", "/race")
        for n in range(25):
            identity = upload(gateway, "race", f"k{n}", (BODY,))
            answers = list(pool.map(lambda _: completes(gateway, "race", f"k{n}", identity, [(1, BODY)], condition), range(8)))
            assert {(a.status, *texts(a, "ETag")) for a in answers} == {(200, f'"{hashlib.md5(hashlib.md5(BODY).digest()).hexdigest()}-1"')}, answers
            assert ok(gateway, "GET", f"/race/k{n}").body == BODY


# --- checksums ----------------------------------------------------------------------------------------

# Of BODY, of 5 MiB of `p`, and of the digests of both: by xxHash's own library where Python has none.
XXHASH = {
    "xxhash64": ("wtglVre3CWk=", "l/vD7mZsaLU=", "iFDlnF+/2OM="),
    "xxhash3": ("JngUCjlCRE4=", "XPdC1o4hoJA=", "rbpSnQvuEZg="),
    "xxhash128": ("R1bfl3z1UJHZjhvTJUa3QA==", "mmhdt9hOsfVc90LWjiGgkA==", "nVyTxtcLPwINVjIHV6cCvA=="),
}
PART = b"p" * (5 << 20)


def sums(name):
    """Of BODY, of PART, and of both as the parts of one upload."""
    if name in XXHASH:
        return XXHASH[name]
    digest = lambda data: hashlib.new(name, data).digest()
    return tuple(base64.b64encode(d).decode() for d in (digest(BODY), digest(PART), digest(digest(PART) + digest(BODY))))


NEW = ["sha512", "md5", "xxhash64", "xxhash3", "xxhash128"]


@pytest.mark.parametrize("name", [*NEW, "sha256"])
def test_checksums_are_verified_kept_and_told(gateway, bucket, name):
    header, (right, wrong, _) = f"x-amz-checksum-{name}", sums(name)
    for more in ([], [("x-amz-sdk-checksum-algorithm", name.upper())]):
        answer = ok(gateway, "PUT", f"/{bucket}/k", headers=[(header, right), *more], body=BODY)
        assert (answer.headers[header], answer.headers["x-amz-checksum-type"]) == (right, "FULL_OBJECT"), answer.headers
        says(raw.request(gateway, "PUT", f"/{bucket}/k", headers=[(header, wrong), *more], body=BODY), 400, "BadDigest", name.upper())
        told = ok(gateway, "HEAD", f"/{bucket}/k", headers=[("x-amz-checksum-mode", "ENABLED")])
        assert (told.headers[header], told.headers["x-amz-checksum-type"]) == (right, "FULL_OBJECT"), told.headers
    for signed in (True, False):
        answer = raw.chunked(gateway, f"/{bucket}/t", [BODY], trailer=(header, right), signed=signed)
        assert answer.status == 200, answer
        says(raw.chunked(gateway, f"/{bucket}/t", [BODY], trailer=(header, wrong), signed=signed), 400, "BadDigest")
    for bad in (right[:-4], "=" + right[1:], "", right + "AAAA"):
        says(raw.request(gateway, "PUT", f"/{bucket}/k", headers=[(header, bad)], body=BODY), 400, "InvalidRequest", header)
    assert ok(gateway, "GET", f"/{bucket}/k").body == BODY
    # Of a document too.
    document = b"<Tagging><TagSet/></Tagging>"
    says(raw.request(gateway, "PUT", f"/{bucket}/k", [("tagging", "")], [(header, right)], document), 400, "BadDigest")


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("kind", ["disk", "stacked"])
def test_checksums_of_uploads_in_parts(request, name, kind):
    gateway = request.getfixturevalue(kind)
    header, (body, part, whole), algorithm = f"x-amz-checksum-{name}", sums(name), name.upper()
    bucket = f"parts-{kind}-{name}"
    ok(gateway, "PUT", f"/{bucket}")
    opens = lambda *headers: raw.request(gateway, "POST", f"/{bucket}/k", [("uploads", "")], headers)
    says(opens(("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", "FULL_OBJECT")), 400, "InvalidRequest", "FULL_OBJECT", name)
    opened = opens(("x-amz-checksum-algorithm", algorithm))
    assert (opened.headers["x-amz-checksum-algorithm"], opened.headers["x-amz-checksum-type"]) == (algorithm, "COMPOSITE")
    identity = texts(opened, "UploadId")[0]
    query = lambda number: [("partNumber", str(number)), ("uploadId", identity)]
    for number, data, checksum in ((1, PART, part), (2, BODY, body)):
        assert ok(gateway, "PUT", f"/{bucket}/k", query(number), [(header, checksum)], data).headers[header] == checksum
        says(raw.request(gateway, "PUT", f"/{bucket}/k", query(number), [(header, whole)], data), 400, "BadDigest")
    assert texts(ok(gateway, "GET", f"/{bucket}/k", [("uploadId", identity)]), f"Checksum{algorithm}") == [part, body]
    listed = lambda *checksums: "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag(data)}</ETag><Checksum{algorithm}>{checksum}</Checksum{algorithm}></Part>"
                                        for (n, data), checksum in zip(((1, PART), (2, BODY)), checksums))
    done = lambda checksums, *headers: raw.request(gateway, "POST", f"/{bucket}/k", [("uploadId", identity)], headers,
                                                   f"<CompleteMultipartUpload>{listed(*checksums)}</CompleteMultipartUpload>".encode())
    says(done((part, part)), 400, "InvalidPart")
    says(done((part, body), (header, f"{body}-2")), 400, "BadDigest")
    says(done((part, body), ("x-amz-checksum-type", "FULL_OBJECT")), 400, "BadDigest")
    answer = done((part, body), (header, f"{whole}-2"))
    assert (texts(answer, f"Checksum{algorithm}"), texts(answer, "ChecksumType")) == ([f"{whole}-2"], ["COMPOSITE"]), answer
    told = ok(gateway, "HEAD", f"/{bucket}/k", headers=[("x-amz-checksum-mode", "ENABLED")])
    assert (told.headers[header], told.headers["x-amz-checksum-type"]) == (f"{whole}-2", "COMPOSITE"), told.headers


# --- signatures ---------------------------------------------------------------------------------------


def signed(gateway, *changes, drop=()):
    headers = dict(raw.signed_headers(gateway, "GET", "/", headers=[("x-amz-meta-a", "1"), ("x-amz-meta-empty", "")]))
    for old, new in changes:
        assert old in headers["authorization"], headers
        headers["authorization"] = headers["authorization"].replace(old, new)
    return raw.send(gateway, "GET", "/", headers=[(k, v) for k, v in headers.items() if k not in drop])


def test_authorization_in_awss_words(disk):
    today = raw.amz_now()[:8]
    assert signed(disk).status == 200
    for dropped in ("x-amz-meta-a", "x-amz-meta-empty"):
        says(signed(disk, drop=(dropped,)), 403, "SignatureDoesNotMatch", dropped)
    for old, new, said in [
        ("/s3/", "/sns/", 'incorrect service "sns". This endpoint belongs to "s3".'),
        (f"/{today}/", "/20130101/", f'Invalid credential date "20130101". This date is not the same as X-Amz-Date: "{today}".'),
        (f"/{today}/", "/2013/", 'incorrect date format "2013". This date in the credential must be in the format "yyyyMMdd".'),
        ("aws4_request", "aws5_request", 'incorrect terminal "aws5_request". This endpoint uses "aws4_request".'),
        ("/s3/aws4_request", "", 'the Credential is mal-formed; expecting "&lt;YOUR-AKID&gt;/YYYYMMDD/REGION/SERVICE/aws4_request".'.replace('"', "&quot;")),
        ("/us-east-1/", "/mars-1/", "the region 'mars-1' is wrong; expecting 'us-east-1'"),
        ("Credential=", "Credentials=", "the authorization header requires three components: Credential, SignedHeaders, and Signature."),
        ("SignedHeaders=", "", "component is malformed"),
    ]:
        says(signed(disk, (old, new)), 400, "AuthorizationHeaderMalformed", "The authorization header is malformed; ", said.replace('"', "&quot;"))
    for value in ("Basic dXNlcjpjYW5hcnk=", "Bearer canary", "canary", "AWS", ""):
        answer = raw.send(disk, "GET", "/", headers=[("authorization", value)])
        says(answer, 400, "InvalidArgument", "Unsupported Authorization Type")
        assert b"canary" not in answer.body
    says(raw.send(disk, "GET", "/", headers=[("authorization", "AWS4-HMAC-SHA256")]), 400, "AuthorizationHeaderMalformed", "three components")
    query = dict(raw.presign(disk, "GET", "/"))
    assert raw.send(disk, "GET", "/", list(query.items())).status == 200
    for old, new, said in [("/s3/", "/sns/", "incorrect service"), (f"/{today}/", "/20130101/", "Invalid credential date"), ("/us-east-1/", "/mars-1/", "mars-1")]:
        changed = {**query, "X-Amz-Credential": query["X-Amz-Credential"].replace(old, new)}
        says(raw.send(disk, "GET", "/", list(changed.items())), 400, "AuthorizationQueryParametersError", "Error parsing the X-Amz-Credential parameter; ", said)
