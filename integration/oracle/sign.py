#!/usr/bin/env python3
"""Random S3 requests, signed by botocore's own signers, one JSON object a line; `verify.rs` reads them.

The same seed gives the same lines. botocore gets each request as its serializer would hand it over:
an encoded URL and headers. What is printed may spell the same request in another way (other escapes,
another order of the query), since a signature is over what a request means.
"""

import argparse
import datetime
import hashlib
import json
import multiprocessing
import os
import random
import sys
import threading
import urllib.parse

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.utils import percent_encode, percent_encode_sequence

KEYS = {
    "AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "AKIDOTHER/WITH/SLASHES": "another secret, with spaces and ünïcode",
    "A": "x" * 200,
}
REGIONS = ("us-east-1", "eu-central-1")
DOMAIN = "s3.example.com"
BATCH = 500

# What keys and values are made of, odd characters often.
ODD = ["a", "B", "7", "-", ".", "_", "~", "*", " ", "  ", "+", "%", "%2F", "%zz", "&", "=", "'", "(", ")", "!", ";", ":", "@",
       "$", ",", "?", "#", "[", "]", "{", "|", "\\", "^", "`", "<", ">", '"', "é", "e\u0301", "ß", "日本", "🦀", "\u200b", "\x7f", "\x01"]
# What may also stand in a header, as a `response-*` parameter will.
VISIBLE = [text for text in ODD if text >= " " and text != "\x7f"]
SEGMENTS = ["", ".", "..", "...", "~", "*", "a", "a b", "a+b", "100%", " ", "X-Amz-Signature=0"]
# In header values: nothing that Python takes for white space beyond the space itself, since HTTP and AWS do not.
TEXT = ["a", "b", "C", "9", " ", "  ", "   ", ",", ";", "=", '"', "/", "é", "漢", "%20", "+", "~", "*"]
# Headers that botocore signs, those first that S3 reads and so has once at most; and some that it never signs.
ONCE = ["content-type", "cache-control", "content-language", "content-disposition"]
PLAIN = ["x-custom", "X-Mixed-Case", "accept-encoding", "from"]
UNSIGNED = ["user-agent", "x-amzn-trace-id", "te", "expect"]
READS = ["response-content-type", "response-cache-control", "response-expires", "versionId"]


class RepeatingQueryAuth(botocore.auth.S3SigV4QueryAuth):
    """botocore makes the query a dict before it signs, and so drops what is repeated; this one appends to it."""

    def _modify_request_before_signing(self, request):
        added = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": self.scope(request), "X-Amz-Date": request.context["timestamp"],
            "X-Amz-Expires": self._expires, "X-Amz-SignedHeaders": self.signed_headers(self.headers_to_sign(request))}
        request.url += ("&" if "?" in request.url else "?") + percent_encode_sequence(added)


class Signer:
    def __init__(self, seed):
        self.rng = random.Random(seed)

    def chance(self, probability):
        return self.rng.random() < probability

    def text(self, most, of=ODD):
        return "".join(self.rng.choices(of, k=self.rng.randint(0, most)))

    def key(self):
        count = self.rng.randint(1, 5)
        key = "/".join(self.rng.choice(SEGMENTS) if self.chance(0.4) else self.text(6) for _ in range(count))
        return key or "/"

    def version(self):
        """What a version id may be: what a URL carries as it is."""
        return "".join(c for c in self.text(4, VISIBLE) if "!" <= c <= "~") or "x"

    def plausible(self):
        """A request that S3 answers: method, bucket or none, key or none, query."""
        draw, bucket, key = self.rng.random(), self.rng.choice(["bucket", "my.bucket-1"]), self.key()
        if draw < 0.4:
            names = self.rng.sample(READS, self.rng.randint(0, 2))
            return self.rng.choice(["GET", "HEAD"]), bucket, key, [(n, self.version() if n == "versionId" else self.text(4, VISIBLE) or "x") for n in names]
        if draw < 0.6:
            return "PUT", bucket, key, []
        if draw < 0.7:
            return "PUT", bucket, key, [("partNumber", str(self.rng.randint(1, 10000))), ("uploadId", self.text(8) or "u")]
        if draw < 0.75:
            return "DELETE", bucket, key, []
        if draw < 0.8:
            return "POST", bucket, key, [("uploads", "")]
        if draw < 0.95:
            query = [("list-type", "2"), ("prefix", self.text(8)), ("delimiter", self.rng.choice(["/", "", "%", "é"])), ("start-after", self.text(4))]
            return "GET", bucket, None, query
        return self.rng.choice([("GET", None, None, []), ("PUT", bucket, None, []), ("GET", bucket, None, [("location", "")])])

    def strange(self):
        """A request that means nothing to S3, but whose signature means as much: repeated, empty and odd parameters."""
        names = ["", "a", "A", "a-b", "a b", "acl", "ü", "list-type", "x-id", *(self.text(3) for _ in range(2))]
        query = [(self.rng.choice(names), self.text(4)) for _ in range(self.rng.randint(0, 6))]
        query += [pair for pair in query if self.chance(0.2)]
        # An empty pair has no meaning that all agree on.
        query = [(name, value) for name, value in query if name or value]
        method = self.rng.choice(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"])
        return method, "bucket", self.key() if self.chance(0.8) else None, query

    def host(self, bucket):
        """A host, and whether the bucket stands in it."""
        if bucket and self.chance(0.3):
            return f"{bucket}.{DOMAIN}" + self.rng.choice(["", ":443", ":9000"]), True
        return self.rng.choice(["127.0.0.1:9000", "[::1]:9000", DOMAIN, f"{DOMAIN}:443", f"{DOMAIN}:80", "localhost:1", "GATEWAY.example:65535"]), False

    def headers(self, plausible):
        found = [(name, self.text(8, TEXT)) for name in ONCE if self.chance(0.1)]
        for _ in range(self.rng.choice([0, 0, 1, 2, 4])):
            plain = PLAIN if plausible else PLAIN + ONCE
            meta = self.rng.choice(["x-amz-meta-", "X-Amz-Meta-"]) + self.rng.choice("abc")
            name = self.rng.choice(plain) if self.chance(0.4) else meta
            # Another header of the same name is another value of one list.
            for _ in range(self.rng.choice([1, 1, 1, 2, 3])):
                found.append((name, self.text(8, TEXT)))
        found += [(name, self.text(4, TEXT)) for name in UNSIGNED if self.chance(0.1)]
        self.rng.shuffle(found)
        return found

    def respell(self, text, space):
        """The same decoded text in another spelling: needless escapes, escapes in lower case, none where none is needed."""
        spelt = []
        at = 0
        while at < len(text):
            piece = text[at:at + 3] if text[at] == "%" else text[at]
            at += len(piece)
            if piece == "%20" and space and self.chance(0.5):
                spelt.append(space)
            elif piece in ("%2A", "%27", "%28", "%21", "%3A", "%40", "%2C", "%24") and self.chance(0.5):
                spelt.append(urllib.parse.unquote(piece))
            elif len(piece) == 3:
                spelt.append(piece.lower() if self.chance(0.3) else piece)
            else:
                spelt.append(f"%{ord(piece):02X}" if piece not in "/&=" and self.chance(0.1) else piece)
        return "".join(spelt)

    def wire(self, path, query):
        if not self.chance(0.25):
            return path, query
        pairs = query.split("&") if query else []
        self.rng.shuffle(pairs)
        return self.respell(path, None), "&".join(self.respell(pair, "+") for pair in pairs)

    def request(self):
        plausible = self.chance(0.7)
        method, bucket, key, query = self.plausible() if plausible else self.strange()
        host, virtual = self.host(bucket)
        path = "/" if virtual or not bucket else f"/{bucket}" + ("" if key is None else "/")
        path += key or ""
        url = f"https://{host}{percent_encode(path, safe='/~')}"
        if query:
            url += "?" + percent_encode_sequence(query)
        request = AWSRequest(method=method, url=url)
        for name, value in self.headers(plausible):
            request.headers.add_header(name, value)
        if self.chance(0.1):
            request.headers["Host"] = host

        access_key = self.rng.choice(list(KEYS))
        credentials, region = Credentials(access_key, KEYS[access_key]), self.rng.choice(REGIONS)
        # Ten years, and often the first or last second of a day, month or year.
        signed = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=self.rng.randrange(10 * 365 * 86400))
        if self.chance(0.1):
            signed = signed.replace(hour=0, minute=0, second=0) - datetime.timedelta(seconds=self.rng.randint(0, 1))
        botocore.auth.get_current_datetime = lambda: signed
        skew = self.rng.randint(-900, 900)
        repeats = len({name for name, _ in query}) < len(query)
        if self.chance(0.35):
            expires = self.rng.choice([1, 60, 3600, 604800, self.rng.randint(1, 604800)])
            skew = self.rng.choice([-900, 0, expires, self.rng.randint(-900, expires)])
            auth = (RepeatingQueryAuth if repeats else botocore.auth.S3SigV4QueryAuth)(credentials, "s3", region, expires=expires)
            if self.chance(0.2):
                request.headers["X-Amz-Content-SHA256"] = self.rng.choice(["UNSIGNED-PAYLOAD", hashlib.sha256(self.rng.randbytes(8)).hexdigest()])
        else:
            auth = self.header_auth(request, credentials, region, path, uploads=method == "PUT" and key is not None)
        auth.add_auth(request)

        parts = urllib.parse.urlsplit(request.url)
        path, query = self.wire(parts.path, parts.query)
        headers = [list(pair) for pair in request.headers.items()]
        if "host" not in {name.lower() for name, _ in headers}:
            headers.append(["Host", botocore.auth._host_from_url(request.url)])
        return {
            "now": int(signed.timestamp()) + skew, "region": region, "parses": plausible, "method": method,
            "target": path + (f"?{query}" if query else ""), "headers": headers}

    def header_auth(self, request, credentials, region, path, uploads):
        draw = self.rng.random()
        if draw < 0.1:
            # The Date header in the place of x-amz-date.
            request.headers["Date"] = "any: botocore writes its own"
        if draw < 0.3:
            request.context["payload_signing_enabled"] = False
        elif draw < 0.5 and uploads:
            request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
        elif draw < 0.7:
            request.data = self.rng.randbytes(self.rng.randint(0, 20))
        elif draw < 0.8 and path.isascii() and path.replace("/", "").isalnum() and "//" not in path:
            # The signer of every other service: for a path that needs no escapes it must be the same.
            request.headers["X-Amz-Content-SHA256"] = botocore.auth.EMPTY_SHA256_HASH
            return botocore.auth.SigV4Auth(credentials, "s3", region)
        return botocore.auth.S3SigV4Auth(credentials, "s3", region)


def batch(work):
    seed, number, count = work
    signer = Signer(f"{seed} {number}")
    return "".join(json.dumps(signer.request(), separators=(",", ":")) + "\n" for _ in range(count))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("count", type=int, help="how many requests")
    arguments.add_argument("--seed", default="0")
    arguments.add_argument("--processes", type=int, default=os.cpu_count())
    given = arguments.parse_args()
    print(json.dumps({"domain": DOMAIN, "regions": REGIONS, "keys": KEYS}))
    # Millions of lines do not wait in memory for who reads them.
    ahead = threading.Semaphore(8 * given.processes)
    work = ((given.seed, at, min(BATCH, given.count - at)) for at in range(0, given.count, BATCH) if ahead.acquire())
    with multiprocessing.Pool(given.processes) as pool:
        for lines in pool.imap(batch, work):
            sys.stdout.write(lines)
            ahead.release()


if __name__ == "__main__":
    main()
