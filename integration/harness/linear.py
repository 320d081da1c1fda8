"""Whether a history of one key could have come of requests that were carried out one after the other.

The search of Wing and Gong, with what was tried remembered: of the requests that began before any other had ended, one is carried
out next, if its answer fits, and the rest must follow.
"""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Request:
    """A request from `began` to `ended` (infinity when nobody knows how it ended). `kind` is `put`, `get` or `delete`; `value` is what
    was written or read, None for nothing. `unless`: only if nothing is there; `when`: only if that is. `answer` is a status; None when
    it may have been carried out or not."""

    began: float
    ended: float
    kind: str
    value: object = None
    answer: int | None = 200
    unless: bool = False
    when: object = None

    def carried_out(self, held):
        """The values that may be there behind it, `held` having been there before; none when its answer does not fit."""
        if self.kind == "get":
            return [held] if (self.answer, self.value) == ((404, None) if held is None else (200, held)) else []
        if self.kind == "delete":
            return [None] if self.answer in (204, None) else []
        refused = 412 if self.unless and held is not None else None
        if self.when is not None and held != self.when:
            refused = 404 if held is None else 412
        if self.answer is None:
            return [held] if refused else [self.value]
        if self.answer == 409:
            return [held]
        if refused:
            return [held] if self.answer == refused else []
        return [self.value] if self.answer == 200 else []


def is_linearizable(history, held=None):
    """Whether the requests can be put in one order that respects time and explains every answer."""
    history = sorted(history, key=lambda request: request.began)
    needed = sum(1 << at for at, request in enumerate(history) if request.ended < math.inf)
    tried, open_ = set(), [(0, held)]
    while open_:
        done, held = open_.pop()
        if done & needed == needed:
            return True
        if (done, held) in tried:
            continue
        tried.add((done, held))
        first_end = math.inf
        for at, request in enumerate(history):
            if done >> at & 1:
                continue
            if request.began > first_end:
                break
            first_end = min(first_end, request.ended)
        for at, request in enumerate(history):
            if done >> at & 1:
                continue
            if request.began > first_end:
                break
            open_.extend((done | 1 << at, then) for then in request.carried_out(held))
    return False
