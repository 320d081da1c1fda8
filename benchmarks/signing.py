"""Signature Version 4 for the load generators: enough of it to sign what the benchmarks send.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
"""

import datetime
import hashlib
import hmac

REGION = "us-east-1"
UNSIGNED = "UNSIGNED-PAYLOAD"
CHUNKED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
NOTHING = hashlib.sha256(b"").hexdigest()
CHUNK = 64 * 1024


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Signer:
    """Signs with one key at one time, which the gateway believes for 15 minutes."""

    def __init__(self, access_key, secret):
        self.access_key = access_key
        self.date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        self.scope = f"{self.date[:8]}/{REGION}/s3/aws4_request"
        key = ("AWS4" + secret).encode()
        for part in self.scope.split("/"):
            key = mac(key, part)
        self.key = key

    def headers(self, method, host, path, payload=NOTHING, more=(), query=""):
        """The headers of a request for a path that needs no encoding and a query that is encoded and sorted; `seed` is its
        signature."""
        headers = {"host": host, "x-amz-content-sha256": payload, "x-amz-date": self.date, **dict(more)}
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        self.seed = mac(self.key, f"AWS4-HMAC-SHA256\n{self.date}\n{self.scope}\n{digest}").hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{self.scope}, SignedHeaders={names}, Signature={self.seed}"
        )
        del headers["host"]
        return headers

    def chunked(self, host, path, source, target):
        """Frames the file `source` in signed chunks into `target`; answers the upload's headers."""
        length = source.stat().st_size
        more = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(length)}
        headers = self.headers("PUT", host, path, CHUNKED, more)
        previous = self.seed
        with open(source, "rb") as data, open(target, "wb") as out:
            while True:
                chunk = data.read(CHUNK)
                text = "\n".join(
                    [CHUNKED.removeprefix("STREAMING-"), self.date, self.scope, previous, NOTHING,
                     hashlib.sha256(chunk).hexdigest()]
                )
                previous = mac(self.key, text).hex()
                out.write(f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk + b"\r\n")
                if not chunk:
                    return headers
