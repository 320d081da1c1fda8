"""Many clients over a few keys: what each was answered could have come of one request after the other."""

import collections
import hashlib
import itertools
import math
import random
import threading
import time

import pytest

from harness import raw
from harness.linear import Request, is_linearizable
from harness.plain import Plain, ok

KEYS = ["a", "b/c", "b/d"]
CLIENTS, ROUNDS = 8, 120


@pytest.mark.parametrize(
    ("history", "holds"),
    [
        ([Request(0, 1, "put", "x"), Request(2, 3, "get", "x")], True),
        ([Request(0, 1, "put", "x"), Request(2, 3, "get", None, 404)], False),
        ([Request(0, 3, "put", "x"), Request(1, 2, "get", None, 404)], True),
        ([Request(0, 9, "put", "x"), Request(1, 2, "get", "x"), Request(3, 4, "get", None, 404)], False),
        ([Request(0, 1, "put", "x"), Request(2, 9, "put", "y"), Request(3, 4, "get", "y"), Request(5, 6, "get", "x")], False),
        ([Request(0, 1, "put", "x"), Request(2, 3, "delete", None, 204), Request(4, 5, "get", "x")], False),
        ([Request(0, 1, "put", "x", 200, unless=True), Request(0, 1, "put", "y", 200, unless=True)], False),
        ([Request(0, 1, "put", "x", 200, unless=True), Request(0, 1, "put", "y", 412, unless=True)], True),
        ([Request(0, 1, "put", "x"), Request(2, 5, "put", "y", when="x"), Request(3, 6, "put", "z", when="x")], False),
        ([Request(0, math.inf, "put", "x", None), Request(4, 5, "get", "x")], True),
        ([Request(0, math.inf, "put", "x", None), Request(4, 5, "get", None, 404)], True),
        ([Request(0, math.inf, "put", "x", None), Request(4, 5, "get", "x"), Request(6, 7, "get", None, 404)], False),
    ],
)
def test_the_checker_knows_right_from_wrong(history, holds):
    assert is_linearizable(history) == holds


def body(value):
    """Some are remembered whole, others are not."""
    return value.encode() * (1 if int(value[6:-1]) % 4 else 20_000)


def request(gateway, chance, seen, value):
    """Sends one request of some kind; answers its key and what is to be kept of it."""
    key = chance.choice(KEYS)
    kind = chance.choices(["get", "put", "unless", "when", "delete"], [10, 4, 2, 4, 2])[0]
    headers, more = [], {}
    if kind == "unless":
        headers, more = [("if-none-match", "*")], {"unless": True}
    elif kind == "when" and seen.get(key):
        headers, more = [("if-match", '"' + hashlib.md5(body(seen[key])).hexdigest() + '"')], {"when": seen[key]}
    began = time.monotonic()
    if kind in ("get", "delete"):
        answer = raw.request(gateway, kind.upper(), f"/bucket/{key}")
    else:
        answer = raw.request(gateway, "PUT", f"/bucket/{key}", (), headers, body(value))
    ended = time.monotonic()
    assert answer.status in (200, 204, 404, 409, 412), answer
    if kind == "get":
        value = answer.body.partition(b";")[0].decode() + ";" if answer.status == 200 else None
        assert value is None or answer.body == body(value), "bytes of two objects"
        seen[key] = value
        return key, Request(began, ended, "get", value, answer.status)
    if kind == "delete":
        return key, Request(began, ended, "delete", None, answer.status)
    return key, Request(began, ended, "put", value, answer.status, **more)


@pytest.mark.parametrize("seed", range(3))
def test_every_history_is_linearizable(tmp_path, seed):
    histories, failed, numbers = collections.defaultdict(list), [], itertools.count()
    with Plain(tmp_path) as gateway:
        ok(gateway, "PUT", "/bucket")

        def client(number):
            chance, seen = random.Random(f"{seed} {number}"), {}
            try:
                for _ in range(ROUNDS):
                    key, kept = request(gateway, chance, seen, f"value {next(numbers)};")
                    histories[key].append(kept)
            except BaseException as error:
                failed.append(error)

        clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        assert not failed, failed
    answers = collections.Counter((kept.kind, kept.answer) for history in histories.values() for kept in history)
    assert {("get", 200), ("get", 404), ("put", 200), ("put", 412), ("delete", 204)} <= answers.keys(), answers
    for key, history in histories.items():
        overlapping = sum(one.began < other.began < one.ended for one, other in itertools.combinations(history, 2))
        assert overlapping > 20, f"{overlapping} requests for {key} were carried out beside others"
        assert is_linearizable(history), f"{key}: {sorted(history, key=lambda kept: kept.began)}"
