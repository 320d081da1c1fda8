#!/usr/bin/env python3
"""Compares `portcullis policy decide` with the independent evaluator on random cases.

    python compare.py --selftest
    python compare.py --binary target/release/portcullis --cases 100000 --seed 1
    python compare.py --binary ... --seed 1 --only 4711
    python compare.py --cases 20000                      # no binary: the generator's coverage alone

Prints every difference as a small case, and what the cases covered. Exits with 1 on a difference, or when less is
covered than `targets` asks for.
"""

import argparse
import copy
import json
import multiprocessing
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import Iterator, NamedTuple

from documented import ROWS
from evaluator import OPERATORS, POINTS, Atom, Evaluation, as_list, decide, documents_of, examine, split_operator
from generator import PRINCIPAL_KINDS, QUALIFIERS, sample

DECISIONS = ["allow", "explicit_deny", "implicit_deny", "invalid"]
LAYERS = ["identity", "groups", "boundary", "session", "service_account", "resource"]
PRESENCE = ["absent", "empty list", "one", "many"]
FEATURES = ["NotAction", "NotResource", "NotPrincipal", "variable with a value", "variable without a value",
            "variable with a default", "variable left as text", "escaped character"]
FORMS = [qualifier + suffix for suffix in ("", "IfExists") for qualifier in QUALIFIERS]
# How many differences a worker keeps, and how many of them it makes small.
KEPT, SHRUNK = 40, 5


class Difference(NamedTuple):
    """A case that the two decide differently."""

    index: int
    case: dict
    expected: str
    answer: dict


# --- The binary --------------------------------------------------------------------------------------------------


def to_line(case: dict) -> str:
    """A case as a line of JSON, in ASCII or in UTF-8 (by its length, so that both are tried)."""
    text = json.dumps(case, ensure_ascii=False)
    return text if len(text) % 2 else json.dumps(case)


def ask(binary: str, cases: list[dict]) -> list[dict]:
    """The binary's answers; a thread writes while this one reads, so that neither waits for the other."""
    process = subprocess.Popen([binary, "policy", "decide"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def write() -> None:
        try:
            process.stdin.write("".join(to_line(case) + "\n" for case in cases).encode())
            process.stdin.close()
        except BrokenPipeError:
            pass

    writer = threading.Thread(target=write)
    writer.start()
    lines = process.stdout.readlines()
    writer.join()
    status = process.wait()
    invalid = any(b'"invalid"' in line for line in lines)
    if status != (2 if invalid else 0) or len(lines) != len(cases):
        raise RuntimeError(f"{binary}: status {status}, {len(lines)} answers to {len(cases)} cases")
    return [json.loads(line) for line in lines]


# --- Making a difference small -----------------------------------------------------------------------------------


def without_each(container) -> Iterator[tuple]:
    """Every way to leave out one member of a list or an object of two or more, and of its members likewise."""
    if isinstance(container, list):
        if len(container) > 1:
            yield from ((container, place) for place in range(len(container)))
        for member in container:
            yield from without_each(member)
    elif isinstance(container, dict):
        if len(container) > 1:
            yield from ((container, key) for key in list(container))
        for member in container.values():
            yield from without_each(member)


def smaller(case: dict) -> list[dict]:
    """Every case that has one part less."""
    made = []
    for layer in LAYERS:
        if case.get(layer):
            made.append({**case, layer: [] if layer in ("identity", "groups") else None})
    for key in case["context"]:
        made.append({**case, "context": {name: value for name, value in case["context"].items() if name != key}})
    for part in [*LAYERS, "context"]:
        for number in range(sum(1 for _ in without_each(case.get(part)))):
            changed = copy.deepcopy(case)
            container, place = list(without_each(changed[part]))[number]
            del container[place]
            made.append(changed)
    for layer in LAYERS:
        for document in range(len(as_list(case.get(layer) or []))):
            for statement in range(len(as_list(as_list(case[layer])[document].get("Statement", [])))):
                changed = copy.deepcopy(case)
                text = as_list(as_list(changed[layer])[document]["Statement"])[statement]
                if isinstance(text, dict) and text.pop("Condition", None):
                    made.append(changed)
    return made


def shrink(binary: str, difference: Difference) -> Difference:
    """The difference with everything left out that it does not need."""
    found = difference
    pair = (difference.expected, difference.answer.get("decision"))
    while True:
        candidates = []
        for candidate in smaller(found.case):
            examined = examine(candidate)
            if examined.decision == pair[0] and examined.hangs_on is None:
                candidates.append(candidate)
        answers = ask(binary, candidates) if candidates else []
        for candidate, answer in zip(candidates, answers):
            if answer.get("decision") == pair[1]:
                found = Difference(found.index, candidate, pair[0], answer)
                break
        else:
            return found


def show(difference: Difference, seed: int) -> str:
    """A difference, to be read."""
    case = {name: value for name, value in difference.case.items() if value not in (None, [], {})}
    evaluation = Evaluation(difference.case)
    evaluation.decide()
    lines = [f"seed {seed}, case {difference.index}: expected {difference.expected}, "
             f"answered {json.dumps(difference.answer, ensure_ascii=False)}",
             json.dumps(case, indent=1, ensure_ascii=False)]
    lines += [f"  {atom.document} statement {atom.statement}: {atom.operator} {atom.key} is {str(holds).lower()}"
              for atom, holds in evaluation.atoms.items()]
    lines += [f"  applies: {match.effect} in {match.layer} ({', '.join(sorted(match.named))})"
              for match in evaluation.matches]
    return "\n".join(lines)


# --- Coverage ----------------------------------------------------------------------------------------------------


def form_of(name: str) -> tuple[str, str]:
    """An operator's plain name, and the column of the table it belongs to."""
    qualifier, plain, if_exists = split_operator(name)
    return plain, (qualifier + ":" if qualifier else "") + ("IfExists" if if_exists else "")


def presence(case: dict, atom: Atom) -> str:
    """How a condition's key is present in the request."""
    for key, values in case["context"].items():
        if key.lower() == atom.key.lower():
            return ["empty list", "one", "many"][min(len(values), 2)]
    return "absent"


def principal_kind(case: dict) -> str:
    """user, session, anonymous or root."""
    return {"anonymous": "anonymous", "root": "root"}.get(case["principal"], "session" if "role" in case else "user")


def without_layer(case: dict, layer: str) -> dict:
    """The case without one kind of policy."""
    return {**case, layer: [] if layer in ("identity", "groups") else None}


def count(counts: Counter, index: int, drawn) -> None:
    """Add what a case covers."""
    case, found = drawn.case, drawn.found
    counts["cases"] += 1
    counts["turns on a condition"] += bool(found.turns_on)
    counts["Deny and Allow apply"] += found.deny_and_allow()
    counts["decision", found.decision] += 1
    counts["principal", principal_kind(case)] += 1
    for feature in found.features:
        counts["feature", feature] += 1
    for document in documents_of(case):
        counts["document", document.layer] += 1
    for match in found.matches:
        counts["applies", match.effect, match.layer] += 1
        if match.layer == "resource":
            for way in match.named:
                counts["named", match.effect, way] += 1
    for atom in found.atoms:
        plain, form = form_of(atom.operator)
        counts["operator", plain, form] += 1
        counts["presence", presence(case, atom), form.removesuffix("IfExists") or form] += 1
    for atom in found.turns_on:
        counts["turn", *form_of(atom.operator)] += 1
    for point in drawn.left_out:
        counts["left out"] += 1
        counts["point", *point] += 1
    if drawn.broken:
        counts["malformed", drawn.broken] += 1
    # Removing a whole layer is decided anew for one case in ten.
    if index % 10 == 0:
        counts["layers tried"] += 1
        for layer in LAYERS:
            if case.get(layer) and decide(without_layer(case, layer)) != found.decision:
                counts["turns on layer", layer] += 1


def targets(counts: Counter) -> list[str]:
    """What is missing in the coverage."""
    cases = counts["cases"]
    missing = []

    def at_least(name: str, number: int, share: float) -> None:
        if number < share * cases:
            missing.append(f"{name}: {number / cases:.2%} of the cases, less than {share:.1%}")

    at_least("turns on a condition", counts["turns on a condition"], 0.30)
    at_least("Deny and Allow apply", counts["Deny and Allow apply"], 0.20)
    for decision in DECISIONS:
        at_least(decision, counts["decision", decision], 0.015 if decision == "invalid" else 0.10)
    for kind in PRINCIPAL_KINDS:
        at_least(kind, counts["principal", kind], 0.05)
    for layer in LAYERS:
        at_least(f"documents of {layer}", counts["document", layer], 0.05)
    if cases < 5_000:
        return missing
    for feature in FEATURES:
        at_least(feature, counts["feature", feature], 0.01)
    for kind in PRESENCE:
        for qualifier in ("", "ForAllValues:", "ForAnyValue:"):
            if not counts["presence", kind, qualifier]:
                missing.append(f"never: a key that is {kind} under {qualifier or 'no set operator'}")
    for plain in OPERATORS:
        for form in FORMS:
            if not counts["operator", plain, form] and (plain != "Null" or not form):
                missing.append(f"never evaluated: {plain} with {form or 'nothing'}")
            if cases >= 50_000 and not counts["turn", plain, form] and (plain != "Null" or not form):
                missing.append(f"nothing turned on: {plain} with {form or 'nothing'}")
    for way in ("everyone", "user", "role", "session", "account"):
        for effect in ("Allow", "Deny"):
            if not counts["named", effect, way]:
                missing.append(f"never: {effect} by naming {way}")
    return missing


def report(counts: Counter) -> str:
    """The coverage as text."""
    cases = max(1, counts["cases"])

    def share(number: int) -> str:
        return f"{number / cases:.1%}"

    def line(title: str, names: list[str], *kind: str) -> str:
        return f"{title}: " + ", ".join(f"{name} {share(counts[*kind, name])}" for name in names)

    lines = [f"{counts['cases']} cases; {share(counts['turns on a condition'])} turn on a condition; "
             f"in {share(counts['Deny and Allow apply'])} a Deny and an Allow both apply; "
             f"{counts['left out']} more left out, which hang on an undocumented point",
             line("decisions", DECISIONS, "decision"),
             line("principals", PRINCIPAL_KINDS, "principal"),
             "documents: " + ", ".join(f"{layer} {counts['document', layer]}" for layer in LAYERS),
             "statements that apply: " + ", ".join(
                 f"{layer} {counts['applies', 'Allow', layer]} Allow {counts['applies', 'Deny', layer]} Deny"
                 for layer in LAYERS),
             "the decision is another without it: " + ", ".join(
                 f"{layer} {counts['turns on layer', layer] / max(1, counts['layers tried']):.1%}" for layer in LAYERS),
             "how a bucket policy's statement names the principal: " + ", ".join(
                 f"{way} {counts['named', 'Allow', way]} Allow {counts['named', 'Deny', way]} Deny"
                 for way in ("everyone", "user", "role", "session", "account")),
             line("went through", FEATURES, "feature"),
             "malformed: " + ", ".join(f"{key[1]} {number}" for key, number in sorted(
                 (key, number) for key, number in counts.items() if key[0] == "malformed")),
             "", "keys, by set operator:"]
    for kind in PRESENCE:
        lines.append(f"  {kind:<11}" + "".join(
            f"{counts['presence', kind, qualifier]:>9} {qualifier.rstrip(':') or 'none':<13}"
            for qualifier in ("", "IfExists", "ForAllValues:", "ForAnyValue:")))
    lines += ["", "conditions evaluated / decisions that turn on them:",
              f"  {'':<27}" + "".join(f"{form or 'plain':>24}" for form in FORMS)]
    for plain in OPERATORS:
        lines.append(f"  {plain:<27}" + "".join(
            f"{counts['operator', plain, form]:>16} / {counts['turn', plain, form]:<5}" for form in FORMS))
    points = sorted(((number, key) for key, number in counts.items() if key[0] == "point"), reverse=True)
    if points:
        lines += ["", "left out, by undocumented point:"]
        lines += [f"  {number:>7}  {key[1]} ({key[2]}): {POINTS[key[1]]}" for number, key in points]
    return "\n".join(lines)


# --- Running -----------------------------------------------------------------------------------------------------


class Task(NamedTuple):
    """A range of cases of a seed."""

    binary: str | None
    seed: int
    first: int
    end: int
    undocumented: bool


def run(task: Task) -> tuple[Counter, int, list[Difference]]:
    """Decide a range of cases twice: what they cover, how many differ, and some of those that do."""
    counts: Counter = Counter()
    drawn = [sample(task.seed, index, task.undocumented) for index in range(task.first, task.end)]
    for index, one in enumerate(drawn, task.first):
        count(counts, index, one)
    if task.binary is None:
        return counts, 0, []
    differences = []
    for index, (one, answer) in enumerate(zip(drawn, ask(task.binary, [one.case for one in drawn])), task.first):
        if answer.get("decision") != one.found.decision:
            if one.found.hangs_on:
                counts["differs on", *one.found.hangs_on] += 1
            differences.append(Difference(index, one.case, one.found.decision, answer))
    return counts, len(differences), differences[:KEPT]


def selftest() -> int:
    """Hold the evaluator to the documentation; the number of rows it gets wrong."""
    wrong = 0
    for page, what, case, expected in ROWS:
        # Through JSON, as every case comes.
        found = decide(json.loads(json.dumps(case)))
        if found != expected:
            wrong += 1
            print(f"{page}: {what}: expected {expected}, found {found}\n  {json.dumps(case)}")
    print(f"selftest: {len(ROWS)} rows, {wrong} wrong")
    return wrong


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", help="portcullis; without it, only the coverage is printed")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="N", help="one case of the seed, printed")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--show", type=int, default=20, help="differences that are printed")
    parser.add_argument("--undocumented", action="store_true",
                        help="keep the cases that hang on an undocumented point, and count differences by point")
    parser.add_argument("--selftest", action="store_true", help="the documented cases, without a binary")
    arguments = parser.parse_args()

    if arguments.selftest:
        return 1 if selftest() else 0

    if arguments.only is not None:
        one = sample(arguments.seed, arguments.only, arguments.undocumented)
        answer = ask(arguments.binary, [one.case])[0] if arguments.binary else {}
        print(to_line(one.case))
        print(show(Difference(arguments.only, one.case, one.found.decision, answer), arguments.seed))
        return 1 if arguments.binary and answer.get("decision") != one.found.decision else 0

    started = time.monotonic()
    step = max(1, min(1_000, arguments.cases // arguments.jobs))
    tasks = [Task(arguments.binary, arguments.seed, first, min(first + step, arguments.cases), arguments.undocumented)
             for first in range(0, arguments.cases, step)]
    counts: Counter = Counter()
    differing = 0
    differences: list[Difference] = []
    # Each worker has its own process of the binary for each task; cases are pure functions of seed and number.
    with multiprocessing.Pool(arguments.jobs) as pool:
        for counted, number, found in pool.imap_unordered(run, tasks):
            counts += counted
            differing += number
            differences += found[:KEPT - len(differences)]
    took = time.monotonic() - started

    for number, difference in enumerate(sorted(differences, key=lambda one: one.index)[:arguments.show]):
        if number < SHRUNK:
            difference = shrink(arguments.binary, difference)
        print(show(difference, arguments.seed), end="\n\n")
    print(report(counts))
    for key, number in counts.items():
        if key[0] == "differs on":
            print(f"differ on {key[1]} ({key[2]}): {number}")
    missing = targets(counts)
    for text in missing:
        print(f"not covered: {text}")
    against = f"{differing} differences" if arguments.binary else "not compared"
    print(f"\nseed {arguments.seed}: {counts['cases']} cases in {took:.1f} s, {against}, "
          f"{len(missing)} coverage targets missed")
    return 1 if differing or missing else 0


if __name__ == "__main__":
    sys.exit(main())
