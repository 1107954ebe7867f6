"""Workflows whose tasks run now in a Python worker, now in a node: one queue for both.

`CELERIAC_TEST_MIXED_RUNS=500` runs so many of them; `./tests/run mixed` does that.
"""

import os
from collections import Counter

import pytest
from celery import chain, chord, group

RUNS = int(os.environ.get("CELERIAC_TEST_MIXED_RUNS", "60"))
# So many workflows are under way at a time.
BATCH = 50
MEMBERS = 6


@pytest.mark.timeout(1800)
def test_python_workers_and_nodes_share_chains_and_chords(node, python_worker, client, redis_url):
    """Every task runs and its result arrives, many here and many there."""
    # Whoever takes more than it runs would leave nothing for the other.
    python = python_worker(redis_url, "--prefetch-multiplier", 1, concurrency=2).name
    ours = node(redis_url, program="demo-node", concurrency=2, prefetch=2).name
    app = client(redis_url)
    app.set_current()
    ran, mixed = Counter(), 0

    for start in range(0, RUNS, BATCH):
        runs = [(run, *WORKFLOWS[run % len(WORKFLOWS)](app.tasks)) for run in range(start, min(start + BATCH, RUNS))]
        sent = [(run, workflow.apply_async(), expected) for run, workflow, expected in runs]
        for run, result, expected in sent:
            visits = result.get(timeout=120)
            assert Counter(label for label, _ in visits) == expected, f"run {run}"
            places = Counter(place for _, place in visits)
            ran += places
            mixed += len(places) == 2

    told = f"{RUNS} workflows, {mixed} of them on both sides; tasks: {dict(ran)}"
    print(told)
    assert set(ran) == {python, ours}, told
    assert min(ran.values()) > ran.total() / 10, told
    assert mixed > RUNS * 0.8, told


# Each makes a workflow, and tells how often each label is in its result.


def chord_of_tasks(tasks):
    start, gather = tasks["mixed.start"], tasks["mixed.gather"]
    return chord([start.s(f"m{n}") for n in range(MEMBERS)], gather.s("body")), Counter(
        [f"m{n}" for n in range(MEMBERS)] + ["body"]
    )


def chain_of_tasks(tasks):
    start, visit = tasks["mixed.start"], tasks["mixed.visit"]
    labels = [f"step{n}" for n in range(2 * MEMBERS)]
    return chain(start.s(labels[0]), *(visit.s(label) for label in labels[1:])), Counter(labels)


def chain_of_chords(tasks):
    start, visit, gather = tasks["mixed.start"], tasks["mixed.visit"], tasks["mixed.gather"]
    workflow = chain(
        group(start.s(f"m{n}") for n in range(MEMBERS)),
        gather.s("first"),
        group(visit.s(f"v{n}") for n in range(3)),
        gather.s("second"),
        visit.s("last"),
    )
    # What three tasks were given comes three times.
    expected = Counter({f"m{n}": 3 for n in range(MEMBERS)} | {"first": 3, "second": 1, "last": 1})
    return workflow, expected + Counter(f"v{n}" for n in range(3))


def chord_of_chains(tasks):
    start, visit, gather = tasks["mixed.start"], tasks["mixed.visit"], tasks["mixed.gather"]
    header = [chain(start.s(f"a{n}"), visit.s(f"b{n}"), visit.s(f"c{n}")) for n in range(MEMBERS)]
    expected = Counter([f"{step}{n}" for step in "abc" for n in range(MEMBERS)] + ["body", "last"])
    return chord(header, chain(gather.s("body"), visit.s("last"))), expected


WORKFLOWS = (chord_of_tasks, chain_of_tasks, chain_of_chords, chord_of_chains)
