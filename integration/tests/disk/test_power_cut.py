"""The power is cut at any moment: whatever was acknowledged by then is there, whole, when the store is opened again.

A trace of the system calls of a real run says what a disk must have kept (`harness.power`), and a gateway is started on that."""

import copy
import random
import threading

from harness.model import ABSENT, Store, Upload, elements, etag
from harness.plain import Plain, ok
from harness.power import Machine, Tracing, settled


class Client(threading.Thread):
    """Makes one change after another in a bucket that it shares, under keys of its own, and keeps what each was answered."""

    def __init__(self, gateway, name, rounds):
        super().__init__()
        self.gateway, self.mine, self.rounds, self.changes, self.luck = gateway, name, rounds, [], random.Random(name)
        self.wrong = []

    def run(self):
        try:
            for n in range(self.rounds):
                self.round(n)
        except Exception as error:
            self.wrong.append(error)

    def change(self, table, name, value, method, path, query=(), headers=(), body=b""):
        """`table` and `name` say what will be `value` once this is answered."""
        started = len(self.changes)
        self.changes.append([None, table, name, value])
        answer = ok(self.gateway, method, path, query, headers, body)
        self.changes[started][0] = answer.headers["x-amz-request-id"]
        return answer

    def put(self, key):
        body = f"{self.mine} {key} {self.luck.random()}".encode() * self.luck.randrange(1, 30)
        self.change("keys", ("shared", key), body, "PUT", f"/shared/{key}", body=body)

    def delete(self, key):
        self.change("keys", ("shared", key), ABSENT, "DELETE", f"/shared/{key}")

    def round(self, n):
        me, deep = self.mine, f"d{n % 3}/e"
        self.put(f"{me}")
        self.put(f"{deep}/{me}")
        self.put(f"{deep}/f/{me}-{n}")
        self.put(f"only/{me}/{n}/x")
        self.delete(f"{deep}/{me}")
        self.delete(f"only/{me}/{n}/x")
        self.put(f"only/{me}/{n}/y")
        if n % 2:
            self.delete(f"{deep}/f/{me}-{n}")
            self.change("keys", ("shared", f"c/{me}"), self.value(me), "PUT", f"/shared/c/{me}", headers=[("x-amz-copy-source", f"/shared/{me}")])
        tags = f"<Tagging><TagSet><Tag><Key>t</Key><Value>{n}</Value></Tag></TagSet></Tagging>".encode()
        self.change("tags", ("shared", me), f"{n}", "PUT", f"/shared/{me}", [("tagging", "")], body=tags)
        self.multipart(f"{deep}/parts-{me}", n)
        bucket = f"{me}-{n}"
        self.change("buckets", bucket, True, "PUT", f"/{bucket}")
        self.change("keys", (bucket, "k/l"), b"in a new bucket", "PUT", f"/{bucket}/k/l", body=b"in a new bucket")
        policy = f'{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"123456789012"}},"Action":"s3:GetObject","Resource":"arn:aws:s3:::{bucket}/*"}}}}'.encode()
        self.change("policies", bucket, policy, "PUT", f"/{bucket}", [("policy", "")], body=policy)
        if n % 2:
            self.change("keys", (bucket, "k/l"), ABSENT, "DELETE", f"/{bucket}/k/l")
            self.change("buckets", bucket, ABSENT, "DELETE", f"/{bucket}")

    def value(self, key):
        return next(value for _, table, name, value in reversed(self.changes) if (table, name) == ("keys", ("shared", key)))

    def multipart(self, key, n):
        part = f"{self.mine} part {n} ".encode() * 40
        answer = self.change("opened", ("shared", key), n, "POST", f"/shared/{key}", [("uploads", "")])
        upload = elements(answer, "UploadId")[0].text
        self.changes[-1][3] = upload
        self.change("part", ("shared", key), (upload, part), "PUT", f"/shared/{key}", [("partNumber", "1"), ("uploadId", upload)], body=part)
        text = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag(part)}</ETag></Part></CompleteMultipartUpload>".encode()
        self.change("completed", ("shared", key), (upload, part), "POST", f"/shared/{key}", [("uploadId", upload)], body=text)


def expected(clients, answered, at, store):
    """Fills a model with what must and may be there at a line of the trace."""
    store.buckets["shared"] = {True}
    for client in clients:
        for identity, table, name, value in client.changes:
            sure = answered[identity] <= at
            apply(store, table, name, value, sure)
            if not sure:
                break


def apply(store, table, name, value, sure):
    if table in ("keys", "tags", "buckets", "policies"):
        held = getattr(store, table)
        held[name] = {value} if sure else held.get(name, {ABSENT}) | {value}
        if table == "keys":  # Another object has other tags.
            store.tags.pop(name, None)
        if table == "buckets" and value is ABSENT:
            store.policies[name] = {ABSENT} if sure else store.policies.get(name, {ABSENT}) | {ABSENT}
        return
    bucket, key = name
    if table == "opened":
        upload = store.uploads[name] = Upload(bucket, key)
        upload.open = {True} if sure else {True, False}
        upload.id = value if sure else None
        return
    upload, (_, part) = store.uploads[name], value
    if table == "part":
        upload.parts[1] = {part} if sure else {ABSENT, part}
    else:
        upload.open = {False} if sure else {True, False}
        store.keys[name] = {part} if sure else store.keys.get(name, {ABSENT}) | {part}
        store.tags.pop(name, None)


def check(directory, clients, machine, at, lines_cut, luck):
    """Starts a gateway on what a cut leaves, and compares."""
    with Plain(directory) as gateway:
        store = Store(gateway)
        store.during = f"cut at line {lines_cut} ({'strict' if luck is None else 'with luck'})"
        expected(clients, machine.answered, at, store)
        store.everything()
    return store.wrong


def traced(tmp_path, work):
    """Runs `work(gateway)` under a trace; answers the trace's lines and the machine that they run on."""
    with Plain(tmp_path / "gate") as gateway:
        ok(gateway, "PUT", "/shared")
        tree = settled(gateway.data)
        with Tracing(gateway, tmp_path / "trace"):
            result = work(gateway)
    return result, (tmp_path / "trace").read_text().splitlines(), gateway.data, tree


def cuts(tmp_path, clients, lines, data, tree, count):
    """What is wrong after power cuts: `count` of them at moments just after an answer, each once without and once with luck."""
    whole = Machine(data, copy.deepcopy(tree))
    for line in lines:
        whole.line(line)
    assert all(identity in whole.answered for client in clients for identity, *_ in client.changes), "an answer is not in the trace"
    moments = sorted(whole.answered.values())
    step = max(1, len(moments) // count)
    chosen = moments[step - 1 :: step][:count]
    machine, wrong = Machine(data, tree), []
    for line in lines:
        machine.line(line)
        if machine.at in chosen:
            for luck in (None, random.Random(machine.at)):
                place = tmp_path / f"cut-{machine.at}-{'luck' if luck else 'strict'}"
                place.mkdir()
                machine.cut(place / "data", luck)
                wrong += check(place, clients, whole, machine.at, machine.at, luck)
    return wrong


def test_what_was_acknowledged_survives_a_power_cut(tmp_path):
    def work(gateway):
        clients = [Client(gateway, f"client-{n}", 4) for n in range(5)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert not any(client.wrong for client in clients), [client.wrong for client in clients]
        return clients

    clients, lines, data, tree = traced(tmp_path, work)
    wrong = cuts(tmp_path, clients, lines, data, tree, 14)
    assert not wrong, "\n".join(wrong)


def test_a_directory_made_anew_is_durable_as_well(tmp_path):
    """File systems give the number of a directory that was removed to the next one."""
    def work(gateway):
        client = Client(gateway, "client", 0)
        for n in range(6):
            client.put(f"a{n}/b/x")
            client.delete(f"a{n}/b/x")
            client.put(f"a{n}/b/y")
        return [client]

    clients, lines, data, tree = traced(tmp_path, work)
    wrong = cuts(tmp_path, clients, lines, data, tree, 18)
    assert not wrong, "\n".join(wrong)


def test_an_upload_and_its_parts_survive_one_by_one(tmp_path):
    def work(gateway):
        client = Client(gateway, "client", 0)
        client.multipart("deep/er/key", 1)
        client.multipart("deep/er/key", 2)
        client.delete("deep/er/key")
        client.multipart("deep/er/key", 3)
        return [client]

    clients, lines, data, tree = traced(tmp_path, work)
    wrong = cuts(tmp_path, clients, lines, data, tree, 11)
    assert not wrong, "\n".join(wrong)
