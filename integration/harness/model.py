"""What may be in a store after requests of which some failed: the oracle of the fault tests.

A request that was acknowledged has happened, one that failed (5xx, or no answer) may have. Whatever is read settles what was not
known: it stays so. What an answer tells that could not be is noted in `wrong`.
"""

import time
import hashlib
import re
import xml.etree.ElementTree

from . import raw

ABSENT = None


class Store:
    """Asks a gateway, and compares its answers with what may be."""

    def __init__(self, gateway):
        self.gateway, self.wrong, self.during = gateway, [], "no fault"
        self.buckets, self.keys, self.tags, self.policies, self.uploads = {}, {}, {}, {}, {}
        self.failed = 0

    def ask(self, method, path, query=(), headers=(), body=b""):
        """The answer; None where there was none, or not all of it."""
        try:
            answer = raw.request(self.gateway, method, path, query, headers, body)
        except (OSError, ConnectionError) as error:
            answer = None
            found = re.search(r"closed within the body, after b'(.*)'", str(error), re.S)
            self.partial = found.group(1) if found else ""
        if answer is None or answer.status >= 500:
            self.failed += 1
            return None
        return answer

    def blame(self, what, answer=None):
        self.wrong.append(f"{self.during}: {what}{f', not {answer.status} {answer.code or answer.body[:200]!r}' if answer is not None else ''}")

    def settle(self, table, name, told, what):
        """What was `told` must have been possible, and is what is there from now on."""
        if told in table.setdefault(name, {ABSENT}):
            table[name] = {told}
        else:
            self.blame(f"{what} of {'/'.join(map(str, name)) if isinstance(name, tuple) else name} tells {shown(told)}, where only {[shown(v) for v in table[name]]} can be")
            table[name] = {told}

    def change(self, table, name, value, answer, statuses, what, refused={}):
        """An acknowledged change is there, a failed one may be. `refused` has the codes that are right answers, and when."""
        if answer is None:
            table.setdefault(name, {ABSENT}).add(value)
        elif answer.status in statuses:
            table[name] = {value}
        elif not (answer.code in refused and refused[answer.code]()):
            self.blame(f"{what} is a success or fails", answer)

    # Buckets.

    def create(self, bucket):
        answer = self.ask("PUT", f"/{bucket}")
        there = lambda: True in self.buckets.get(bucket, {ABSENT})
        self.change(self.buckets, bucket, True, answer, (200,), "CreateBucket", {"BucketAlreadyOwnedByYou": there})
        if answer is not None and answer.status == 409:
            self.buckets[bucket] = {True}

    def remove(self, bucket):
        answer = self.ask("DELETE", f"/{bucket}")
        filled = any(ABSENT not in values for (at, _), values in self.keys.items() if at == bucket)
        may_be_filled = any(values != {ABSENT} for (at, _), values in self.keys.items() if at == bucket)
        if answer is not None and answer.status == 204 and filled:
            self.blame("DeleteBucket of a bucket with objects is refused", answer)
        refused = {"BucketNotEmpty": lambda: may_be_filled, "NoSuchBucket": lambda: ABSENT in self.buckets.get(bucket, {ABSENT})}
        if filled and answer is None:
            return
        self.change(self.buckets, bucket, ABSENT, answer, (204,), "DeleteBucket", refused)
        if answer is not None and answer.status == 404:
            self.buckets[bucket] = {ABSENT}
        # The next bucket of this name starts with nothing.
        if answer is None:
            self.policies.setdefault(bucket, {ABSENT}).add(ABSENT)
        elif answer.status == 204:
            self.policies[bucket] = {ABSENT}
            self.keys.update({name: {ABSENT} for name in self.keys if name[0] == bucket})

    def list_buckets(self):
        answer = self.ask("GET", "/")
        if answer is None:
            return
        if answer.status != 200:
            return self.blame("ListBuckets is a success or fails", answer)
        found = {name.text for name in elements(answer, "Name")}
        for bucket in self.buckets:
            self.settle(self.buckets, bucket, True if bucket in found else ABSENT, "ListBuckets")

    # Objects.

    def put(self, bucket, key, body, headers=()):
        self.change(self.keys, (bucket, key), body, self.ask("PUT", f"/{bucket}/{key}", headers=headers, body=body), (200,), f"PutObject of {key}")

    def copy(self, bucket, source, key):
        [body] = self.keys[bucket, source]
        answer = self.ask("PUT", f"/{bucket}/{key}", headers=[("x-amz-copy-source", f"/{bucket}/{source}")])
        # A copy may fail when its answer has begun.
        if answer is not None and answer.status == 200 and b"<Error>" in answer.body:
            answer = None
        self.change(self.keys, (bucket, key), body, answer, (200,), f"CopyObject to {key}")

    def delete(self, bucket, key):
        self.change(self.keys, (bucket, key), ABSENT, self.ask("DELETE", f"/{bucket}/{key}"), (204,), f"DeleteObject of {key}")

    def get(self, bucket, key):
        self.partial = ""
        answer = self.ask("GET", f"/{bucket}/{key}")
        possible = self.keys.setdefault((bucket, key), {ABSENT})
        if answer is None:
            begun = self.partial.encode()
            if begun and all(value is ABSENT or not value.startswith(begun[:100]) for value in possible):
                self.blame(f"GetObject of {key} begins with {begun[:40]}, which is nobody's")
        elif answer.status == 200:
            self.settle(self.keys, (bucket, key), answer.body, "GetObject")
        elif answer.code == "NoSuchKey":
            self.settle(self.keys, (bucket, key), ABSENT, "GetObject")
        else:
            self.blame(f"GetObject of {key} is a success or fails", answer)

    def list(self, bucket, step=1000):
        """Every page, and what all of them tell."""
        found, more = {}, ()
        while more is not None:
            answer = self.ask("GET", f"/{bucket}", [("list-type", "2"), ("max-keys", str(step)), *more])
            if answer is None:
                return
            if answer.status != 200:
                return self.blame(f"ListObjectsV2 of {bucket} is a success or fails", answer)
            keys, sizes = elements(answer, "Key"), elements(answer, "Size")
            found.update({key.text: int(size.text) for key, size in zip(keys, sizes, strict=True)})
            token = elements(answer, "NextContinuationToken")
            more = [("continuation-token", token[0].text)] if token else None
        known = {key for at, key in self.keys if at == bucket}
        for key in known | found.keys():
            possible = self.keys.setdefault((bucket, key), {ABSENT})
            here = {value for value in possible if (value is ABSENT) == (key not in found) and (value is ABSENT or len(value) == found[key])}
            if not here:
                size = f"of {found[key]} bytes" if key in found else "missing"
                self.blame(f"a listing of {bucket} has {key} {size}, where only {[shown(v) for v in possible]} can be")
            else:
                self.keys[bucket, key] = here

    # Tags and policies.

    def tag(self, bucket, key, value):
        body = f"<Tagging><TagSet><Tag><Key>t</Key><Value>{value}</Value></Tag></TagSet></Tagging>".encode()
        self.change(self.tags, (bucket, key), value, self.ask("PUT", f"/{bucket}/{key}", [("tagging", "")], body=body), (200,), "PutObjectTagging")

    def get_tag(self, bucket, key):
        answer = self.ask("GET", f"/{bucket}/{key}", [("tagging", "")])
        if answer is not None and answer.status != 200:
            self.blame("GetObjectTagging is a success or fails", answer)
        elif answer is not None:
            told = elements(answer, "Value")
            self.settle(self.tags, (bucket, key), told[0].text if told else ABSENT, "GetObjectTagging")

    def put_policy(self, bucket, sid):
        document = f"""{{"Version":"2012-10-17","Statement":[{{"Sid":"{sid}","Effect":"Deny","Principal":"*","Action":"s3:GetObject",
            "Resource":"arn:aws:s3:::{bucket}/denied/*"}}]}}""".encode()
        self.change(self.policies, bucket, document, self.ask("PUT", f"/{bucket}", [("policy", "")], body=document), (200, 204), "PutBucketPolicy",
                    {"NoSuchBucket": lambda: ABSENT in self.buckets.get(bucket, {ABSENT})})

    def delete_policy(self, bucket):
        self.change(self.policies, bucket, ABSENT, self.ask("DELETE", f"/{bucket}", [("policy", "")]), (204,), "DeleteBucketPolicy")

    def get_policy(self, bucket):
        answer = self.ask("GET", f"/{bucket}", [("policy", "")])
        if answer is None:
            return
        if answer.status == 200:
            self.settle(self.policies, bucket, answer.body, "GetBucketPolicy")
        elif answer.code == "NoSuchBucketPolicy":
            self.settle(self.policies, bucket, ABSENT, "GetBucketPolicy")
        else:
            self.blame("GetBucketPolicy is a success or fails", answer)

    # Uploads in parts: each has a key of its own, and parts of which only the last is small.

    def begin(self, bucket, key):
        answer = self.ask("POST", f"/{bucket}/{key}", [("uploads", "")])
        upload = Upload(bucket, key)
        if answer is not None and answer.status == 200:
            upload.id, upload.open = elements(answer, "UploadId")[0].text, {True}
        elif answer is not None:
            self.blame("CreateMultipartUpload is a success or fails", answer)
        else:
            upload.open = {True, False}
        self.uploads[bucket, key] = upload
        return upload

    def part(self, upload, number, body):
        if upload.id is None:
            return
        answer = self.ask("PUT", f"/{upload.bucket}/{upload.key}", [("partNumber", str(number)), ("uploadId", upload.id)], body=body)
        refused = {"NoSuchUpload": lambda: False in upload.open}
        self.change(upload.parts, number, body, answer, (200,), f"UploadPart of {upload.key}", refused)

    def list_parts(self, upload):
        if upload.id is None:
            return
        answer = self.ask("GET", f"/{upload.bucket}/{upload.key}", [("uploadId", upload.id)])
        if answer is None:
            return
        if answer.status == 404 and answer.code == "NoSuchUpload" and False in upload.open:
            upload.open = {False}
        elif answer.status != 200 or True not in upload.open:
            self.blame(f"ListParts of {upload.key} is a success or fails", answer)
        else:
            upload.open = {True}
            found = {int(n.text): int(s.text) for n, s in zip(elements(answer, "PartNumber"), elements(answer, "Size"))}
            for number in upload.parts.keys() | found.keys():
                here = {v for v in upload.parts.get(number, {ABSENT}) if (v is ABSENT) == (number not in found) and (v is ABSENT or len(v) == found[number])}
                if not here:
                    self.blame(f"ListParts of {upload.key} has of part {number} {found.get(number, 'nothing')}, where only {[shown(v) for v in upload.parts.get(number, {ABSENT})]} can be")
                upload.parts[number] = here or {ABSENT}

    def complete(self, upload, number):
        if upload.id is None or len(upload.parts.get(number, {ABSENT})) > 1 or upload.parts.get(number, {ABSENT}) == {ABSENT}:
            return
        [body] = upload.parts[number]
        text = f"<CompleteMultipartUpload><Part><PartNumber>{number}</PartNumber><ETag>{etag(body)}</ETag></Part></CompleteMultipartUpload>".encode()
        answer = self.ask("POST", f"/{upload.bucket}/{upload.key}", [("uploadId", upload.id)], body=text)
        if answer is not None and answer.status == 200 and b"<Error>" in answer.body:
            answer = None
        done = lambda: False in upload.open
        self.change(self.keys, (upload.bucket, upload.key), body, answer, (200,), f"CompleteMultipartUpload of {upload.key}", {"NoSuchUpload": done})
        upload.open = upload.open | {False} if answer is None else {False}

    def abort(self, upload):
        if upload.id is None:
            return
        answer = self.ask("DELETE", f"/{upload.bucket}/{upload.key}", [("uploadId", upload.id)])
        if answer is not None and answer.status == 404 and answer.code == "NoSuchUpload" and False in upload.open:
            pass
        elif answer is not None and answer.status != 204:
            return self.blame(f"AbortMultipartUpload of {upload.key} is a success or fails", answer)
        upload.open = upload.open | {False} if answer is None else {False}

    def list_uploads(self, bucket):
        answer = self.ask("GET", f"/{bucket}", [("uploads", ""), ("max-uploads", "1000")])
        if answer is None:
            return
        if answer.status != 200:
            return self.blame("ListMultipartUploads is a success or fails", answer)
        found = {(key.text, id.text) for key, id in zip(elements(answer, "Key"), elements(answer, "UploadId"))}
        for (at, key), upload in self.uploads.items():
            if at != bucket:
                continue
            told = any(key == k and upload.id in (None, i) for k, i in found)
            if told not in upload.open:
                self.blame(f"ListMultipartUploads {'has' if told else 'lacks'} the upload of {key}")
            upload.open = {told}

    def everything(self):
        """Asked without faults: everything is there, can be read, and is what it must be. What is kept of
        buckets is looked at every second: service resumes by itself, not at once."""
        deadline = time.monotonic() + 10
        before = self.failed
        self.ask_everything()
        while self.failed > before and time.monotonic() < deadline:
            time.sleep(0.5)
            before = self.failed
            self.ask_everything()
        if self.failed > before:
            self.blame(f"{self.failed - before} requests fail when nothing fails any more")

    def ask_everything(self):
        self.list_buckets()
        for bucket in [bucket for bucket, states in self.buckets.items() if states == {True}]:
            self.list(bucket)
            self.list_uploads(bucket)
            self.get_policy(bucket)
        for bucket, key in list(self.keys):
            if self.buckets.get(bucket) == {True}:
                self.get(bucket, key)
        for bucket, key in self.tags:
            self.get_tag(bucket, key)
        for upload in self.uploads.values():
            self.list_parts(upload)


class Upload:
    def __init__(self, bucket, key):
        self.bucket, self.key, self.id, self.open, self.parts = bucket, key, None, {False}, {}


def elements(answer, name):
    return [e for e in xml.etree.ElementTree.fromstring(answer.body).iter() if e.tag.rpartition("}")[2] == name]


def etag(body):
    return hashlib.md5(body).hexdigest()


def shown(value):
    return "nothing" if value in (ABSENT, False) else f"{len(value)} bytes {value[:12]!r}" if isinstance(value, bytes) else repr(value)
