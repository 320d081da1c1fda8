"""T50, T51, T52 and T55: what a request is about is decided once, and is what is forwarded."""

import urllib.parse

import pytest

from harness import h2, raw
from harness.clients import s3
from harness.spying import OPERATIONS, PART, agree

DECODE = urllib.parse.unquote

# How a key is written in the target, and the key that it is.
KEYS = [
    ("a%2Fb", "a/b"), ("a/b", "a/b"), ("a%252Fb", "a%2Fb"), ("%252e%252e/x", "%2e%2e/x"), ("%25%32%65", "%2e"), ("a//b", "a//b"), ("/a", "/a"), ("//", "//"), ("a/", "a/"),
    ("a;b=c", "a;b=c"), ("..;x/b", "..;x/b"), ("a%3Bb", "a;b"), ("a%5Cb", "a\\b"), ("a%23b", "a#b"), ("a%3Fb", "a?b"), ("a+b", "a+b"), ("a%2Bb", "a+b"), ("a%20b", "a b"),
    ("a.", "a."), ("a%20", "a "), ("%20a", " a"), ("...", "..."), (".a", ".a"), ("a..b", "a..b"), ("..a/b", "..a/b"), ("caf%C3%A9", "café"), ("cafe%CC%81", "cafe\u0301"),
    ("%F0%9F%A6%80", "🦀"),
    ("a%01b", "a\x01b"), ("a%0D%0Ab", "a\r\nb"), ("a%7Fb", "a\x7fb"), ("%41", "A"), ("%7Ea", "~a"), ("a*b'(c)!", "a*b'(c)!"), ("a%22b%3Cc%3E", 'a"b<c>'), ("a:b@c", "a:b@c"),
    ("a&b=c", "a&b=c"),
]


@pytest.mark.parametrize("written,key", KEYS, ids=[k[0] for k in KEYS])
def test_t50_the_key_that_was_authorised_is_forwarded(spied, spy, written, key):
    """Signed as its key, written as it is: the upstream decodes the same key, once."""
    for method, body in (("GET", b""), ("PUT", b"body"), ("DELETE", b"")):
        headers = raw.signed_headers(spied, method, f"/bucket/{key}", body=body)
        arrived = spy.passes(raw.send(spied, method, None, headers=headers, body=body, target=f"/bucket/{written}"))
        assert DECODE(arrived.target) == f"/bucket/{key}" and "?" not in arrived.target
    # Another key's signature does not open it.
    headers = raw.signed_headers(spied, "GET", f"/bucket/{key}x")
    spy.refuses(raw.send(spied, "GET", None, headers=headers, target=f"/bucket/{written}"), "SignatureDoesNotMatch", statuses=(403,))


def test_t50_a_raw_space_is_no_part_of_a_target(spied, spy):
    """One server ends the target there, another goes on, a third escapes it."""
    headers = raw.signed_headers(spied, "GET", "/bucket/key x")
    for target in ("/bucket/key x", "/bucket/key HTTP/1.1", "/bucket/key\rx"):
        spy.refuses(raw.send(spied, "GET", None, headers=headers, target=target), "BadRequest", "InvalidURI", statuses=(400,))
    arrived = spy.passes(raw.send(spied, "GET", None, headers=headers, target="/bucket/key%20x"))
    assert arrived.target == "/bucket/key%20x"


@pytest.mark.parametrize("written", ["../a", "a/../b", "a/./b", "..", ".", "./a", "a/..", "a/.", "%2e%2e/a", "a/%2E%2E/b", "%2e/a", "..%2Fa", "a%2F..", "a%5C..%5Cb", "..%5Ca",
                                     "a/%2e.", "public/../private"])
def test_t50_what_a_server_could_take_for_another_key_is_not_forwarded(spied, spy, written):
    key = DECODE(written)
    for method, body in (("GET", b""), ("PUT", b"body"), ("DELETE", b"")):
        headers = raw.signed_headers(spied, method, f"/bucket/{key}", body=body)
        spy.refuses(raw.send(spied, method, None, headers=headers, body=body, target=f"/bucket/{written}"), "InvalidArgument", statuses=(400,))
    spy.reply = agree
    headers = [("x-amz-copy-source", f"/bucket/{raw.quote(key)}")]
    spy.refuses(raw.request(spied, "PUT", "/bucket/copy", headers=headers), "InvalidArgument", statuses=(400,))
    answer = raw.request(spied, "POST", "/bucket", [("delete", "")], body=f"<Delete><Object><Key>{key}</Key></Object></Delete>".encode())
    assert answer.status == 200 and answer.code == "InvalidArgument", answer
    spy.recorder.settle()
    assert spy.arrived == []


@pytest.mark.parametrize("target", ["/bucket/%", "/bucket/%z", "/bucket/%zz", "/bucket/a%2", "/bucket/%c3%28", "/bucket/%ff", "/bucket/%c0%ae%c0%ae/x", "/bucket/%ed%a0%80",
                                    "/bucket/%e0%80%af", "/bucket/%00", "/bucket/a%00b",
                                    "/bucket/a#b", "/bucket/key?prefix=%zz", "/bucket?prefix=%ff", "bucket/key", "*", "http:/bucket/key", "ftp://bucket/key", "http:///bucket/key"])
def test_t50_targets_that_are_none(spied, spy, target):
    for headers in ((), raw.signed_headers(spied, "GET", "/bucket/key")):
        answer = raw.send(spied, "GET", None, headers=headers, target=target)
        spy.refuses(answer, "InvalidURI", "BadRequest", statuses=(400,))
    spy.passes(raw.request(spied, "GET", "/bucket/key"))


def test_t50_the_same_keys_on_disk(disk):
    """What is written as a key is read as that key, and as no other."""
    client = s3(disk)
    client.create_bucket(Bucket="same-keys")
    odd = [*KEYS, ("a%2F..%2Fb", "a/../b"), ("..", ".."), ("%2e", "."), ("../../escape", "../../escape")]
    for written, key in odd:
        headers = raw.signed_headers(disk, "PUT", f"/same-keys/{key}", body=key.encode())
        assert raw.send(disk, "PUT", None, headers=headers, body=key.encode(), target=f"/same-keys/{written}").status == 200
    for written, key in odd:
        headers = raw.signed_headers(disk, "GET", f"/same-keys/{key}")
        assert raw.send(disk, "GET", None, headers=headers, target=f"/same-keys/{written}").body == key.encode(), key
    listed = {o["Key"] for o in client.list_objects_v2(Bucket="same-keys")["Contents"]}
    assert listed == {key for _, key in odd}
    assert not (disk.data / "objects" / "escape").exists() and not (disk.data.parent / "escape").exists()


SUB_RESOURCES = [
    (method, "/bucket", name) for method in ("GET", "PUT", "DELETE") for name in
    ("ACL", "Acl", "publicaccessblock", "PublicAccessBlock", "publicAccessBlocks",
     "policyx", "polic", "Policy", "POLICY", "policystatus", "unknown", "x-amz-minio-internal", "metadataTable", "abac", "")
] + [
    (method, "/bucket", name) for method in ("PUT", "DELETE", "POST") for name in
    ("acl", "cors", "lifecycle", "versioning", "website", "logging", "tagging", "replication", "encryption", "notification", "requestPayment", "accelerate",
     "ownershipControls", "object-lock", "intelligent-tiering", "inventory", "metrics", "analytics")
] + [
    (method, "/bucket/key", name) for method in ("GET", "HEAD", "PUT", "DELETE", "POST") for name in
    ("torrent", "attributes", "retention", "legal-hold", "restore", "select", "renameObject", "uploadid", "UploadId", "partnumber", "encryption", "annotation", "ACL", "Tagging")
] + [
    (method, "/bucket/key", name) for method in ("PUT", "DELETE", "POST") for name in ("acl", "anything")
] + [("HEAD", "/bucket/key", "acl"), ("HEAD", "/bucket/key", "tagging"), ("POST", "/bucket/key", "tagging"), ("PUT", "/bucket", "versions"), ("GET", "/", "acl"), ("GET", "/", "policy"), ("GET", "/", "Action"), ("POST", "/bucket", "uploads"), ("PUT", "/bucket/key", "uploads"),
     ("DELETE", "/bucket", "delete"), ("DELETE", "/bucket", "location"), ("PUT", "/bucket", "location"),
     ("PUT", "/bucket", "policyStatus"), ("DELETE", "/bucket", "policyStatus"), ("POST", "/bucket", "publicAccessBlock"), ("GET", "/bucket/key", "publicAccessBlock")]


def test_t51_sub_resources_never_fall_through(spied, spy):
    for method, path, name in SUB_RESOURCES:
        for value in ("", "1"):
            if name or value:
                answer = raw.request(spied, method, path, [(name, value)])
                spy.refuses(answer, *(["NotImplemented", "MethodNotAllowed", "InvalidArgument"] if method != "HEAD" else []), statuses=(400, 405, 501))
    # The plain operations are answered, with what means nothing to them.
    spy.reply = agree
    for name in ("GetObject", "DeleteBucket", "ListObjects"):
        method, path, *_ = OPERATIONS[name]
        spy.passes(raw.request(spied, method, path, [("x-id", name), ("x-minio-internal", "")]))
    # Where an object is read, so is what is no word of S3's.
    for method in ("GET", "HEAD"):
        spy.passes(raw.request(spied, method, "/bucket/key", [("anything", "1")]), "/bucket/key")


@pytest.mark.parametrize("query", ["%61bac", "aba%63", "abac=", "abac=1", "acl&acl", "policy&acl", "acl&policy", "policy&policy", "policy;acl", "x;acl", "prefix=a&prefix=b",
                                   "prefix=a&%70refix=b", "list-type=2&list-type=2", "list-type=2&versions", "location&acl",
                                   "uploads&policy", "delete&location", "policy&lifecycle"])
def test_t51_queries(spied, spy, query):
    for method in ("GET", "PUT", "DELETE"):
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, separator="&")
        headers = raw.signed_headers(spied, method, "/bucket", pairs)
        answer = raw.send(spied, method, None, headers=headers, target=f"/bucket?{query}")
        spy.refuses(answer, "NotImplemented", "InvalidArgument", "MethodNotAllowed", statuses=(400, 405, 501))


def test_t51_router_and_forwarder_agree(spied, spy):
    """However the sub-resource is written, it is asked of the upstream, or answered here, as the same operation."""
    spy.reply = agree
    sent = lambda method, path, query, pairs, body=b"": raw.send(spied, method, None, headers=raw.signed_headers(spied, method, path, pairs, body=body), body=body, target=f"{path}?{query}")
    for query in ("policy", "policy=", "%70olicy", "polic%79=", "policy&x-id=GetBucketPolicy"):
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
        answer = sent("GET", "/bucket", query, pairs)
        assert answer.code == "NoSuchBucketPolicy", answer
        assert [a.head.split()[0] for a in spy.arrived] == [b"HEAD"] and spy.arrived[0].target == "/bucket"
        spy.recorder.clear()
    for query in ("uploadId=u", "%75ploadId=u", "uploadId=%75", "uploadId=u&x-id=Abort"):
        arrived = spy.passes(sent("DELETE", "/bucket/key", query, urllib.parse.parse_qsl(query)))
        assert arrived.target == "/bucket/key?uploadId=u"
    for method, pairs in (("POST", [("uploadId", "")]), ("DELETE", [("uploadId", "")]), ("GET", [("uploadId", "")]), ("PUT", [("uploadId", ""), ("partNumber", "1")]),
                          ("PUT", [("uploadId", "u"), ("partNumber", "")]), ("PUT", [("uploadId", "u"), ("partNumber", "0")]), ("PUT", [("uploadId", "u" * 2000), ("partNumber", "1")])):
        spy.refuses(raw.request(spied, method, "/bucket/key", pairs), "InvalidArgument", statuses=(400,))
    for pairs in ([("partNumber", "1")], [("uploadId", "u")]):
        spy.refuses(raw.request(spied, "PUT", "/bucket/key", pairs), "NotImplemented", "InvalidArgument", statuses=(400, 501))


def test_t51_the_bucket_still_exists(disk):
    """A DELETE of what a bucket has never deletes the bucket."""
    client = s3(disk)
    client.create_bucket(Bucket="still-there")
    for method, path, name in SUB_RESOURCES:
        if method == "DELETE" and path == "/bucket" and name:
            assert raw.request(disk, method, "/still-there", [(name, "")]).status in (400, 405, 501), name
    for query in ("%61cl", "acl;", ";", "=", "policy&acl"):
        answer = raw.send(disk, "DELETE", None, headers=raw.signed_headers(disk, "DELETE", "/still-there", urllib.parse.parse_qsl(query, keep_blank_values=True)),
                          target=f"/still-there?{query}")
        assert answer.status in (400, 403, 405, 501), (query, answer)
    assert client.head_bucket(Bucket="still-there")["ResponseMetadata"]["HTTPStatusCode"] == 200
    client.delete_bucket(Bucket="still-there")


DOMAIN = "s3.example.com"


@pytest.mark.parametrize("host,path,target", [
    (f"bucket.{DOMAIN}", "/key", "/bucket/key"),
    (f"bucket.{DOMAIN}:9000", "/key", "/bucket/key"),
    ("BUCKET.S3.Example.COM", "/key", "/bucket/key"),
    (f"bucket.{DOMAIN}.", "/key", "/bucket/key"),
    (f"bucket.{DOMAIN}.:443", "/key", "/bucket/key"),
    (f"my.dotted.bucket.{DOMAIN}", "/key", "/my.dotted.bucket/key"),
    (f"bucket.{DOMAIN}", "/other/key", "/bucket/other/key"),
    (f"bucket.{DOMAIN}", "//other/key", "/bucket//other/key"),
    (DOMAIN, "/bucket/key", "/bucket/key"),
    (f"{DOMAIN}:9000", "/bucket/key", "/bucket/key"),
    (f"evil{DOMAIN}", "/bucket/key", "/bucket/key"),
    (f"bucket.{DOMAIN}.evil.example", "/other/key", "/other/key"),
    ("127.0.0.1", "/bucket/key", "/bucket/key"),
    ("localhost:1", "/bucket/key", "/bucket/key"),
    ("[::1]:9000", "/bucket/key", "/bucket/key"),
])
def test_t52_one_bucket_decided_once(spied, spy, host, path, target):
    """What the host says and what the path says, in one reading; it is that bucket which is forwarded."""
    assert spy.passes(raw.request(spied, "GET", path, host=host)).target == target
    arrived = spy.passes(raw.send(spied, "GET", path, raw.presign(spied, "GET", path, host=host), [("host", host)]))
    assert arrived.target == target
    # The host is signed: the same request for another bucket's host is refused.
    headers = [(k, "other." + DOMAIN if k == "host" else v) for k, v in raw.signed_headers(spied, "GET", path, host=host)]
    spy.refuses(raw.send(spied, "GET", path, headers=headers), "SignatureDoesNotMatch", statuses=(403,))


@pytest.mark.parametrize("host", [f"Up_per.{DOMAIN}", f"a.{DOMAIN}", f"..{DOMAIN}", f".{DOMAIN}", f"bucket..{DOMAIN}", f"192.168.0.1.{DOMAIN}", f"xn--bucket.{DOMAIN}"])
def test_t52_hosts_that_name_no_bucket(spied, spy, host):
    spy.refuses(raw.request(spied, "GET", "/key", host=host), "InvalidBucketName", statuses=(400,))


@pytest.mark.parametrize("host", ["", " ", "a b", "bucket/x", "user@host", "a,b", "host:port:port x", "caf\xe9", "%62ucket.s3.example.com", "bucket.s3.example.com#x",
                                  "bucket.s3.example.com?x"])
def test_t52_hosts_that_are_none(spied, spy, host):
    line = f"host: {host}\r\n"
    headers = "".join(f"{k}: {v}\r\n" for k, v in raw.signed_headers(spied, "GET", "/bucket/key") if k != "host")
    spy.refuses(raw.raw(spied, f"GET /bucket/key HTTP/1.1\r\n{line}{headers}\r\n".encode("latin-1")), "BadRequest", statuses=(400,))


def test_t52_host_and_absolute_form(spied, spy):
    host, other = f"bucket.{DOMAIN}", f"secret.{DOMAIN}"
    ask = lambda target, hosts, signed_host=host: raw.raw(spied, "".join([f"GET {target} HTTP/1.1\r\n", *(f"host: {h}\r\n" for h in hosts),
                                                                          *(f"{k}: {v}\r\n" for k, v in raw.signed_headers(spied, "GET", "/key", host=signed_host) if k != "host"),
                                                                          "\r\n"]).encode())
    for target in (f"http://{host}/key", f"https://{host}/key"):
        assert spy.passes(ask(target, [host])).target == "/bucket/key"
        for hosts in ([other], [DOMAIN], [f"{host}:9000"], [host, other], [host, host]):
            spy.refuses(ask(target, hosts), "BadRequest", statuses=(400,))
    for target in (f"http://{other}/key", f"https://user@{host}/key", f"https://{host}:9000/key", f"https://{other}"):
        spy.refuses(ask(target, [host]), "BadRequest", "InvalidURI", statuses=(400,))
    spy.refuses(ask("/key", []), "BadRequest", statuses=(400,))
    # `//other/key` is a path, not an authority.
    spy.refuses(ask(f"//{other}/key", [host]), "SignatureDoesNotMatch", statuses=(403,))


@pytest.mark.parametrize("name", ["x-forwarded-host", "forwarded", "x-original-host", "x-host", "x-original-url", "x-rewrite-url", "x-forwarded-server", "x-http-method-override"])
def test_t52_no_other_header_names_the_host(spied, spy, name):
    value = {"forwarded": f"host=secret.{DOMAIN}", "x-original-url": "/secret/key", "x-rewrite-url": "/secret/key", "x-http-method-override": "DELETE"}.get(name, f"secret.{DOMAIN}")
    for host, path in ((f"bucket.{DOMAIN}", "/key"), (DOMAIN, "/bucket/key")):
        arrived = spy.passes(raw.request(spied, "GET", path, host=host, extra=[(name, value)]))
        assert arrived.head.startswith(b"GET /bucket/key ") and b"secret" not in arrived.head


def test_t52_authority_and_host_in_http2(spied, spy):
    host, other = f"bucket.{DOMAIN}", f"secret.{DOMAIN}"
    assert spy.passes(h2.signed(spied, "GET", "/key", authority=host)).target == "/bucket/key"
    assert spy.passes(h2.signed(spied, "GET", "/key", authority=host, extra=[("host", host)])).target == "/bucket/key"
    for extra in ([("host", other)], [("host", DOMAIN)], [("host", host), ("host", other)], [("host", host), ("host", host)], [("host", "")]):
        answer = h2.signed(spied, "GET", "/key", authority=host, extra=extra)
        # Some are refused by the protocol, before there is a request of ours.
        assert answer is None or answer.status == 400, (extra, answer)
    spy.recorder.settle()
    assert spy.arrived == []


COPIES = [
    ("/bucket/from", "bucket/from"), ("bucket/from", "bucket/from"), ("bucket/a%20b", "bucket/a%20b"), ("bucket/a+b", "bucket/a%2Bb"), ("bucket/a%2Bb", "bucket/a%2Bb"),
    ("bucket%2Ffrom", "bucket/from"), ("%2Fbucket/from", "bucket/from"),
    ("bucket/a%252Fb", "bucket/a%252Fb"), ("bucket/a%2Fb", "bucket/a/b"), ("bucket/from%3FversionId=1", "bucket/from%3FversionId%3D1"),
    ("bucket/from%3FversionId%3D1", "bucket/from%3FversionId%3D1"), ("bucket/from?versionId=v%2F1", "bucket/from?versionId=v%2F1"),
    ("bucket//from", "bucket//from"), ("bucket/caf%C3%A9", "bucket/caf%C3%A9"), ("bucket/café", "bucket/caf%C3%A9"), ("bucket/from#x", "bucket/from%23x"), ("bucket/;x", "bucket/%3Bx"),
]


@pytest.mark.parametrize("source,forwarded", COPIES, ids=[c[0] for c in COPIES])
def test_t55_the_source_that_was_authorised_is_forwarded(spied, spy, source, forwarded):
    spy.reply = agree
    for query in ([], PART):
        # What is not ASCII is signed as its bytes, as clients send it.
        answer, arrived = raw.request(spied, "PUT", "/bucket/key", query, headers=[("x-amz-copy-source", source)]), list(spy.arrived)
        spy.passes(answer)
        # A part whose source some stores would decode once more is read and sent back by us.
        read = [a.target for a in arrived if a.head.startswith(b"GET")]
        assert read == [f"/{forwarded}"] or f"x-amz-copy-source: {forwarded.lower()}" in arrived[-1].lines, arrived


@pytest.mark.parametrize("source", ["", "/", "//", "b", "b/", "bucket", "bucket/", "/bucket", "/bucket/", "//bucket/key", "?versionId=1", "bucket?versionId=1",
                                    "bucket/?versionId=1", "bucket/key?versionId=", "bucket/key?versionId", "bucket/key?other=1",
                                    "bucket/key?versionId=1&other=2", "bucket/key?versionid=1", "bucket/key?versionId=%zz", "%ff/key", "bucket/%ff", "bucket/%", "bucket/%c0%ae",
                                    "bucket/%00", "BUCKET/key", "..", "../bucket/key", "/../bucket/key", "bucket/../other/key",
                                    "bucket/..", "bucket/./key", "bucket%00/key", "arn:aws:s3:us-east-1:123456789012:accesspoint/x/object/key",
                                    "arn:aws:s3-outposts:us-east-1:1:outpost/o/object/k", "https://bucket/key", "x" * 3000, "bucket/" + "k" * 1025])
def test_t55_copy_sources_that_are_none(spied, spy, source):
    spy.reply = agree
    for query in ([], PART):
        answer = raw.request(spied, "PUT", "/bucket/key", query, headers=[("x-amz-copy-source", source)])
        spy.refuses(answer, "InvalidArgument", "InvalidRequest", "InvalidURI", "KeyTooLongError", statuses=(400,))


def test_t55_where_a_copy_source_does_not_belong(spied, spy):
    spy.reply = agree
    source = [("x-amz-copy-source", "/bucket/from")]
    spy.passes(raw.request(spied, "PUT", "/bucket/key", headers=source))
    for name, (method, path, query, headers, body) in OPERATIONS.items():
        if name not in ("PutObject", "UploadPart", "CopyObject", "UploadPartCopy"):
            answer = raw.request(spied, method, path, query, [*headers, *source], body)
            spy.refuses(answer, *(["InvalidArgument"] if method != "HEAD" else []), statuses=(400,))
    spy.refuses(raw.request(spied, "PUT", "/bucket/key", headers=source, body=b"body"), "InvalidRequest", statuses=(400,))
    spy.refuses(raw.request(spied, "PUT", "/bucket/key", headers=[*source, ("transfer-encoding", "chunked")]), "InvalidRequest", statuses=(400,))
    spy.refuses(raw.request(spied, "PUT", "/bucket/key", headers=[*source, ("x-amz-copy-source", "/bucket/other")]), "InvalidArgument", statuses=(400,))
    ranged = lambda text: raw.request(spied, "PUT", "/bucket/key", PART, headers=[*source, ("x-amz-copy-source-range", text)])
    assert "x-amz-copy-source-range: bytes=0-9" in spy.passes(ranged("bytes=0-9")).lines
    for text in ("100-0", "bytes=100-0", "bytes=0-", "bytes=-5", "bytes=0-9,20-29", "bytes=+0-9", "bytes=0 - 9", "items=0-9", "", "bytes=0-99999999999999999999"):
        spy.refuses(ranged(text), "InvalidArgument", statuses=(400,))


def test_t52_a_target_has_no_fragment(spied, spy):
    """It would be dropped, and the key with it: in neither version of HTTP, signed or not, behind line ends or not."""
    spy.reply = agree
    for path in ("/bucket/key#", "/bucket/key#x", "/bucket/#", "/bucket/key?prefix=a#b", "#", "/bucket/a/../key#/b"):
        for before in (b"", b"\r\n", b"\r\n\r\n"):
            head = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{spied.port}\r\n\r\n".encode()
            answer = raw.raw(spied, before + head)
            assert answer.status == 400, (path, before, answer)
        assert h2.request(spied, [(":method", "GET"), (":scheme", "https"), (":authority", f"127.0.0.1:{spied.port}"), (":path", path)]) is None, path
        assert h2.signed(spied, "GET", path) is None, path
    spy.recorder.settle()
    assert spy.arrived == []
    # An escaped one is the key's.
    answer = h2.request(spied, [(":method", "GET"), (":scheme", "https"), (":authority", f"127.0.0.1:{spied.port}"), (":path", "/bucket/key%23x"), ("x-a", "#")])
    assert answer.status == 403
    answer = raw.request(spied, "GET", "/bucket/key#x")
    assert answer.status == 200
    spy.recorder.settle()
    assert [a.target for a in spy.arrived] == ["/bucket/key%23x"]
    spy.recorder.clear()


def test_t52_other_streams_of_a_sound_connection_go_on(spied, spy):
    """Many requests on one connection, whose fields refer to one another."""
    spy.reply = agree
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import ResponseReceived, StreamEnded
    with raw.Connection(spied, alpn="h2") as connection:
        client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        client.initiate_connection()
        ended, statuses = 0, []
        for number in range(200):
            stream = client.get_next_available_stream_id()
            more = [(f"x-{number % 7}", "#" * (number % 50)), ("user-agent", f"agent {number}")]
            client.send_headers(stream, [(":method", "GET"), (":scheme", "https"), (":authority", f"127.0.0.1:{spied.port}"), (":path", f"/bucket/{number % 3}"), *more], end_stream=True)
            connection.send(client.data_to_send())
            while ended <= number and connection.more():
                for event in client.receive_data(connection.take(len(connection.data))):
                    statuses += [dict(event.headers)[":status"]] if isinstance(event, ResponseReceived) else []
                    ended += isinstance(event, StreamEnded)
                connection.send(client.data_to_send())
        assert statuses == ["403"] * 200
