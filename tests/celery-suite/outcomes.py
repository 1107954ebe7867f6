"""Outcomes of the suite: read, shown, compared with what is expected, reported."""

import json
from collections import Counter

KINDS = ["passed", "failed", "xfailed", "skipped"]


def lines_of(path):
    """The lines of a list, without comments and empty ones."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def read(folder):
    """Returns test -> line of its outcome."""
    found = {}
    for path in sorted(folder.glob("outcomes-*.jsonl")):
        for line in path.read_text().splitlines():
            outcome = json.loads(line)
            found[short(outcome["test"])] = outcome
    return found


def short(nodeid):
    return nodeid.removeprefix("t/integration/")


def expected(path):
    """Returns test -> (outcome, reason) for the tests that are not expected to pass."""
    entries = {}
    for line in lines_of(path):
        outcome, test, reason = (field.strip() for field in line.split(" | ", 2))
        if outcome not in KINDS[1:] or test in entries:
            raise ValueError(f"{path.name}: expected one of {KINDS[1:]} and a new test, found {line!r}")
        entries[test] = (outcome, reason)
    return entries


def file_of(test):
    return test.split("::")[0]


def counted(found):
    """Yields (file, Counter of kinds) in order, and the sum."""
    files = {}
    for test, line in found.items():
        files.setdefault(file_of(test), Counter())[line["outcome"]] += 1
    yield from sorted(files.items())
    yield "all", sum(files.values(), Counter())


def print_table(found):
    print(f"\n{'file':24}" + "".join(f"{kind:>9}" for kind in KINDS) + f"{'tests':>9}")
    for file, counts in counted(found):
        print(f"{file:24}" + "".join(f"{counts[kind]:9}" for kind in KINDS) + f"{counts.total():9}")
    for kind in ("skipped", "xfailed"):
        for test, line in found.items():
            if line["outcome"] == kind:
                print(f"{kind}: {test}: {first_line(line['words'])}")
    for test, line in found.items():
        if line["repeats"]:
            print(f"repeated {line['repeats']} times: {test}")
    print()


def differences(found, wanted, whole):
    """Says what is worse or better than expected, one line each."""
    wrong = []
    if not found:
        wrong.append("expected at least one test, found none")
    for test, line in sorted(found.items()):
        outcome, reason = wanted.get(test, ("passed", ""))
        if line["outcome"] == outcome:
            continue
        if line["outcome"] == "passed":
            wrong.append(f"BETTER: {test} passed, expected {outcome} ({reason}): remove it from expected.txt")
        else:
            wrong.append(f"WORSE: {test} {line['outcome']}, expected {outcome}: {first_line(line['words'])}")
    if whole:
        wrong += [f"GONE: {test} is in expected.txt and did not run" for test in wanted if test not in found]
    return wrong


def first_line(words):
    line = words.strip().splitlines()[0] if words.strip() else ""
    return line if len(line) < 200 else line[:197] + "..."


def report(found, wanted):
    """The page docs/compatibility.md; the same outcomes give the same page."""
    rows = "\n".join(
        f"| {file} | " + " | ".join(str(counts[kind]) for kind in KINDS) + f" | {counts.total()} |"
        for file, counts in counted(found)
    )
    others = "\n".join(
        f"| {test.replace('|', chr(92) + '|')} | {outcome} | {reason} |"
        for test, (outcome, reason) in sorted(wanted.items())
    )
    return PAGE.format(rows=rows, others=others)


PAGE = """\
# Compatibility with Celery 5.7

Celery's source distribution carries an integration suite, `t/integration`: a real Celery client
runs each test against a real worker. Here that worker is a celeriac node in a process of its own,
with RabbitMQ as broker and Redis as result backend, and the suite is unmodified. This page is written
by `./tests/run celery-suite --write-report`; a run fails when a test does better or worse than it says.

Celery's own worker, when it is a process of its own, passes 320 of the same tests. The harness helps
where a test looks into the worker's memory: it keeps the list of successful tasks from the node's events
(four tests wait for it), and starts a new node where a test clears the list of revoked stamps (one test).
A test that fails is repeated, twice at most, only where it lost a race that the client itself has: a chord
that broke before the client had begun to wait for it, and `test_scheduled`, which asks for a task at the
moment it sends it. A run names what it repeated. What a node does unlike Celery on purpose is in
[differences.md](differences.md).

| file | passed | failed | expected failures | skipped | tests |
|---|---:|---:|---:|---:|---:|
{rows}

Expected failures and skipped tests are so marked by the suite itself. The other files of
`t/integration` are about Celery's own worker, beat and Python processes.

## Every test that did not pass

| test | outcome | reason |
|---|---|---|
{others}
"""
