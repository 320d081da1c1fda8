"""A gateway over plain HTTP that is started and stopped quickly, and requests in one line each."""

import urllib.error
import urllib.request

from . import raw
from .gateway import Gateway
from .model import elements, etag

QUICK = '[limits]\nshutdown_delay = "1ms"\ndrain_timeout = "2s"\n'


class Plain(Gateway):
    def __init__(self, directory, config="", tls=False, **more):
        super().__init__(directory, QUICK + config, tls=tls, **more)


def ok(gateway, method, path, query=(), headers=(), body=b"", statuses=(200, 204)):
    answer = raw.request(gateway, method, path, query, headers, body)
    assert answer.status in statuses and b"<Error>" not in answer.body, (method, path, answer)
    return answer


def texts(answer, name):
    return [e.text for e in elements(answer, name)]


def keys(gateway, bucket):
    return texts(ok(gateway, "GET", f"/{bucket}", [("list-type", "2")]), "Key")


def buckets(gateway):
    return texts(ok(gateway, "GET", "/"), "Name")


def upload(gateway, bucket, key, parts=(b"part",)):
    """An open upload with these parts."""
    identity = texts(ok(gateway, "POST", f"/{bucket}/{key}", [("uploads", "")]), "UploadId")[0]
    for number, part in enumerate(parts, 1):
        ok(gateway, "PUT", f"/{bucket}/{key}", [("partNumber", str(number)), ("uploadId", identity)], body=part)
    return identity


def complete(gateway, bucket, key, identity, parts=(b"part",)):
    listed = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag(part)}</ETag></Part>" for n, part in enumerate(parts, 1))
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    ok(gateway, "POST", f"/{bucket}/{key}", [("uploadId", identity)], body=body)


def metric(gateway, name):
    """The values of a metric, by its labels."""
    found = {}
    for line in admin(gateway, "/metrics")[1].splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name:
            found[series.removeprefix(name)] = float(value)
    return found


def admin(gateway, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
