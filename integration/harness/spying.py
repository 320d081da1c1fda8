"""What an answer of a gateway must mean behind it, and in its audit: asked of every security case."""

import base64
import contextlib
import hashlib
import json
import time
import urllib.parse

from . import raw
from .recorder import Recorder

DISABLED, DISABLED_SECRET = "AKIADISABLED00000000", "disabled-secret-canary-0123456789"
AUDIT = '[audit]\noutput = { file = "audit.jsonl" }\n'

OBJECT = ['etag: "e"', "last-modified: Tue, 24 Nov 2026 00:00:00 GMT"]
STAMP = "<LastModified>2026-11-24T00:00:00.000Z</LastModified>"


def agree(head, body):
    """A store that says yes to everything, in the words of each operation."""
    method, target = head.decode().split(" ")[:2]
    path, _, query = target.partition("?")
    keys = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    copies, objects = b"\r\nx-amz-copy-source:" in head.lower(), path.count("/") > 1
    etag = "<ETag>&quot;e&quot;</ETag>"
    if method == "PUT" and copies:
        root = "CopyPartResult" if "uploadId" in keys else "CopyObjectResult"
        text = f"<{root}>{etag}{STAMP}</{root}>"
    elif method == "POST" and "uploads" in keys:
        text = "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>"
    elif method == "POST" and "uploadId" in keys:
        text = f"<CompleteMultipartUploadResult>{etag}</CompleteMultipartUploadResult>"
    elif method == "POST":
        names = body.decode().split("<Key>")[1:]
        text = f"<DeleteResult>{''.join('<Deleted><Key>' + name.split('<')[0] + '</Key></Deleted>' for name in names)}</DeleteResult>"
    elif method == "GET" and "uploadId" in keys:
        text = "<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>"
    elif method == "GET" and "tagging" in keys:
        text = "<Tagging><TagSet></TagSet></Tagging>"
    elif method == "GET" and not objects:
        root = "ListAllMyBucketsResult" if path == "/" else "ListMultipartUploadsResult" if "uploads" in keys else "ListBucketResult"
        text = f"<{root}><Buckets></Buckets><IsTruncated>false</IsTruncated></{root}>"
    elif method == "DELETE":
        return Recorder.answer(status="204 No Content")
    else:
        text = ""
    return Recorder.answer(text.encode(), headers=OBJECT)


# Every operation that is answered: method, path, query, headers, body.
DELETE = b"<Delete><Object><Key>key</Key></Object></Delete>"
COMPLETE = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>"
PART, UPLOAD, SOURCE = [("partNumber", "1"), ("uploadId", "u")], [("uploadId", "u")], [("x-amz-copy-source", "/bucket/from")]
POLICY = b'{"Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/none"}}'
TAGGING = b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
BLOCK = b"<PublicAccessBlockConfiguration><BlockPublicPolicy>true</BlockPublicPolicy></PublicAccessBlockConfiguration>"
OPERATIONS = {
    "ListBuckets": ("GET", "/", [], [], b""),
    "CreateBucket": ("PUT", "/bucket", [], [], b""),
    "HeadBucket": ("HEAD", "/bucket", [], [], b""),
    "GetBucketLocation": ("GET", "/bucket", [("location", "")], [], b""),
    "PutBucketPolicy": ("PUT", "/bucket", [("policy", "")], [], POLICY),
    "GetBucketPolicy": ("GET", "/bucket", [("policy", "")], [], b""),
    "GetBucketPolicyStatus": ("GET", "/bucket", [("policyStatus", "")], [], b""),
    "DeleteBucketPolicy": ("DELETE", "/bucket", [("policy", "")], [], b""),
    "PutPublicAccessBlock": ("PUT", "/bucket", [("publicAccessBlock", "")], [], BLOCK),
    "GetPublicAccessBlock": ("GET", "/bucket", [("publicAccessBlock", "")], [], b""),
    "DeletePublicAccessBlock": ("DELETE", "/bucket", [("publicAccessBlock", "")], [], b""),
    "ListObjects": ("GET", "/bucket", [], [], b""),
    "ListObjectsV2": ("GET", "/bucket", [("list-type", "2")], [], b""),
    "ListMultipartUploads": ("GET", "/bucket", [("uploads", "")], [], b""),
    "DeleteObjects": ("POST", "/bucket", [("delete", "")], [("content-md5", base64.b64encode(hashlib.md5(DELETE).digest()).decode())], DELETE),
    "GetObject": ("GET", "/bucket/key", [], [], b""),
    "HeadObject": ("HEAD", "/bucket/key", [], [], b""),
    "PutObject": ("PUT", "/bucket/key", [], [], b"some bytes"),
    "CopyObject": ("PUT", "/bucket/key", [], SOURCE, b""),
    "DeleteObject": ("DELETE", "/bucket/key", [], [], b""),
    "CreateMultipartUpload": ("POST", "/bucket/key", [("uploads", "")], [], b""),
    "UploadPart": ("PUT", "/bucket/key", PART, [], b"some bytes"),
    "UploadPartCopy": ("PUT", "/bucket/key", PART, SOURCE, b""),
    "CompleteMultipartUpload": ("POST", "/bucket/key", UPLOAD, [], COMPLETE),
    "AbortMultipartUpload": ("DELETE", "/bucket/key", UPLOAD, [], b""),
    "ListParts": ("GET", "/bucket/key", UPLOAD, [], b""),
    "ListObjectVersions": ("GET", "/bucket", [("versions", "")], [], b""),
    "GetBucketVersioning": ("GET", "/bucket", [("versioning", "")], [], b""),
    "GetBucketAcl": ("GET", "/bucket", [("acl", "")], [], b""),
    "GetBucketOwnershipControls": ("GET", "/bucket", [("ownershipControls", "")], [], b""),
    "GetBucketRequestPayment": ("GET", "/bucket", [("requestPayment", "")], [], b""),
    "GetBucketAccelerateConfiguration": ("GET", "/bucket", [("accelerate", "")], [], b""),
    "GetBucketLogging": ("GET", "/bucket", [("logging", "")], [], b""),
    "GetBucketNotificationConfiguration": ("GET", "/bucket", [("notification", "")], [], b""),
    "ListBucketMetricsConfigurations": ("GET", "/bucket", [("metrics", "")], [], b""),
    "GetObjectAcl": ("GET", "/bucket/key", [("acl", "")], [], b""),
    "GetObjectTagging": ("GET", "/bucket/key", [("tagging", "")], [], b""),
    "PutObjectTagging": ("PUT", "/bucket/key", [("tagging", "")], [], TAGGING),
    "DeleteObjectTagging": ("DELETE", "/bucket/key", [("tagging", "")], [], b""),
    "DeleteBucket": ("DELETE", "/bucket", [], [], b""),
}


class Spy:
    """A gateway, and the upstream that keeps what reaches it."""

    def __init__(self, gateway, recorder):
        self.gateway, self.recorder = gateway, recorder
        self.audit, self.events = gateway.directory / "audit.jsonl", {}
        self.at = self.audit.stat().st_size
        self.reset()

    def reset(self):
        self.recorder.reply, self.recorder.early = self.recorder.empty, None
        self.recorder.clear()

    @property
    def reply(self):
        return self.recorder.reply

    @reply.setter
    def reply(self, reply):
        self.recorder.reply = reply

    @property
    def arrived(self):
        return self.recorder.arrived

    def passes(self, answer, *targets):
        """A positive twin: answered well, and `targets` (one request, whatever it asks) arrived whole."""
        assert answer.status in (200, 204, 206), answer
        arrived, self.recorder.arrived = self.recorder.arrived, []
        assert arrived and all(a.whole for a in arrived), arrived
        assert not targets or [a.target for a in arrived] == list(targets), arrived
        assert self.event(answer)["decision"] == "allow"
        return arrived[-1]

    def publish(self, bucket, policy):
        """Gives a bucket a policy that may be public, where the server lets it."""
        self.passes(raw.request(self.gateway, "DELETE", f"/{bucket}", [("publicAccessBlock", "")]))
        return self.passes(raw.request(self.gateway, "PUT", f"/{bucket}", [("policy", "")], body=json.dumps(policy).encode()))

    def refuses(self, answer, *codes, statuses=(400, 403)):
        """Refused before anything was asked of the upstream, and said so in one audit event."""
        self.answers(answer, codes, statuses)
        self.recorder.settle()
        assert self.arrived == [], (answer, self.arrived)

    def refuses_upload(self, answer, *codes, statuses=(400, 403)):
        """Refused on the way: the upstream never has the object. Gives what it saw of it."""
        self.answers(answer, codes, statuses)
        self.recorder.settle()
        seen, self.recorder.arrived = self.recorder.arrived, []
        assert not any(a.whole for a in seen), (answer, seen)
        return b"".join(a.body for a in seen)

    def answers(self, answer, codes, statuses):
        assert answer.status in statuses, answer
        if answer.body or codes:
            assert answer.code in codes, answer
        event = self.event(answer)
        assert event["status"] == answer.status and event.get("code") == (answer.code or event.get("code")), (answer, event)
        assert event["decision"] != "allow" or event["code"], event

    def wait(self, check, seconds=10):
        deadline = time.time() + seconds
        while not check():
            assert time.time() < deadline, "did not happen in time"
            time.sleep(0.002)

    def event(self, answer):
        """The one audit event of an answer."""
        wanted = answer.headers["x-amz-request-id"]
        self.wait(lambda: self.read_audit() or wanted in self.events)
        return self.events[wanted]

    @contextlib.contextmanager
    def events_of(self, count):
        """Until that many requests have come to their end, answered or not."""
        self.read_audit()
        before = len(self.events)
        yield
        self.wait(lambda: self.read_audit() or len(self.events) >= before + count, 30)
        self.recorder.settle()

    def read_audit(self):
        with self.audit.open("rb") as file:
            file.seek(self.at)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.at += len(line)
                event = json.loads(line)
                assert event["request_id"] not in self.events, event
                self.events[event["request_id"]] = event
