"""Random workflows do on a node what they do on Celery's worker.

`CELERIAC_TEST_SEEDS=300` compares so many of them; `./tests/run differential` does that.
`CELERIAC_TEST_FIRST_SEED` starts elsewhere.
"""

import os

import pytest

import outcomes
import workflows

SEEDS = int(os.environ.get("CELERIAC_TEST_SEEDS", "100"))
FIRST = int(os.environ.get("CELERIAC_TEST_FIRST_SEED", "1"))
# So many are under way at a time.
BATCH = 100
# Of so many differences the smallest workflow is looked for.
EXPLAINED = 10


@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore:task_allow_error_cb_on_chord_header")
def test_random_workflows_do_on_a_node_what_they_do_on_a_python_worker(
    node, python_worker, client, redis_url, unique
):
    theirs, ours = unique("celery"), unique("node")
    python = python_worker(redis_url, queue=theirs, concurrency=4)
    rust = node(redis_url, program="demo-node", queues=[ours], default_queue=ours, concurrency=8)
    comparison = Comparison(
        outcomes.Side(python, client(redis_url, theirs), redis_url),
        outcomes.Side(rust, client(redis_url, ours), redis_url),
    )

    for start in range(FIRST, FIRST + SEEDS, BATCH):
        comparison.compare(range(start, min(start + BATCH, FIRST + SEEDS)))

    print(comparison.summary())
    assert not comparison.found["different"], comparison.explained()


class Comparison:
    """Seeds by how the two sides compare on them."""

    def __init__(self, celery, ours):
        self.celery = celery
        self.ours = ours
        self.found = {
            name: []
            for name in (
                "equal",
                "Celery gives no answer, the node does",
                "Celery runs a task twice, the node once",
                "Celery loses a callback, the node calls it",
                "Celery's own outcome varies",
                "refused by Celery's client",
                "different",
            )
        }

    def compare(self, seeds):
        given = [workflows.generate(seed) for seed in seeds]
        suspects = []
        for seed, workflow, (there, here) in zip(seeds, given, outcomes.compared(self.celery, self.ours, given)):
            if outcomes.difference(there, here):
                suspects.append((seed, workflow, there, here))
            elif there.refused:
                self.found["refused by Celery's client"].append(seed)
            elif there.repeated:
                self.found["Celery runs a task twice, the node once"].append(seed)
            elif there.hangs:
                self.found["Celery gives no answer, the node does"].append(seed)
            else:
                self.found["equal"].append(seed)
        # In some workflows Celery's own outcome depends on who ends first.
        again = [self.celery.outcomes([workflow for _, workflow, *_ in suspects]) for _ in range(3) if suspects]
        for index, (seed, workflow, there, here) in enumerate(suspects):
            if outcomes.called_more(there, here, workflow):
                kind = "Celery loses a callback, the node calls it"
            elif any(not outcomes.difference(outcome[index], here) for outcome in again):
                kind = "Celery's own outcome varies"
            else:
                kind = "different"
            self.found[kind].append(seed)

    def summary(self):
        lines = [f"seeds {FIRST} to {FIRST + SEEDS - 1}"]
        for name, seeds in self.found.items():
            named = "" if name == "equal" else f" {seeds}"
            lines.append(f"  {len(seeds):4} {name}{named if seeds else ''}")
        return "\n".join(lines)

    def explained(self):
        """The differences, each in the smallest workflow that shows it."""
        told = [self.summary()]
        for seed in self.found["different"][:EXPLAINED]:
            told += self.story(seed, self.smallest(workflows.generate(seed)))
        return "\n".join(told)

    def smallest(self, workflow):
        (kind,) = self.kinds([workflow])
        while True:
            tries = workflows.smaller(workflow)[:60]
            smaller = next((one for one, found in zip(tries, self.kinds(tries)) if found == kind), None)
            if smaller is None:
                return workflow
            workflow = smaller

    def kinds(self, given):
        pairs = outcomes.compared(self.celery, self.ours, given)
        return [outcomes.kind_of(outcomes.difference(there, here)) for there, here in pairs]

    def story(self, seed, workflow):
        ((there, here),) = outcomes.compared(self.celery, self.ours, [workflow])
        lines = [f"\nseed {seed}: {workflows.written(workflow)}"]
        lines += [f"  {line}" for line in outcomes.difference(there, here)]
        for name, side in (("Celery", there), ("the node", here)):
            lines += [f" {name}:", *(f"  {line}" for line in side.told())]
        return lines
