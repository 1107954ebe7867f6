"""What a workflow did on one side, told without ids, so that two sides compare.

Ids differ from run to run. Each is replaced by a name: the label of the task that ran
under it, or else its place in the result that the client holds.
"""

import json
import re
import uuid
from collections import Counter

import redis
from celery.result import GroupResult

import workflows
from processes import eventually

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FINAL = ("SUCCESS", "FAILURE", "REVOKED")


class Side:
    """A queue, and the one worker that runs its tasks: Celery's, or a node."""

    def __init__(self, worker, app, redis_url):
        self.worker = worker
        self.app = app
        self.redis = redis.Redis.from_url(redis_url)

    def outcomes(self, given, chords=None):
        """Sends the workflows, all at once, and waits until nothing moves any more."""
        self.app.set_current()
        sent = [self._send(workflow) for workflow in given]
        self._until_idle()
        chords = chords or [None] * len(sent)
        made = [self._outcome(run, result, one) for (run, result), one in zip(sent, chords)]
        for workflow, outcome in zip(given, made):
            if not workflows.leaves_records(workflow):
                outcome.forget_lineage()
        return made

    def _send(self, workflow):
        run = uuid.uuid4().hex
        signature = workflows.build(workflow, self.app, run)
        try:
            return run, signature.apply_async()
        except Exception as error:  # noqa: BLE001 - what Celery's client refuses is an outcome
            return run, error

    def _until_idle(self):
        """Until queue and worker are empty and no result is stored, several times in a row.

        So a workflow without an answer is one that will never have an answer.
        """
        name = self.worker.name
        inspect = self.app.control.inspect([name], timeout=5)
        quiet = []

        def idle():
            with self.app.connection_for_read() as connection:
                queue = self.app.conf.task_default_queue
                waiting = connection.default_channel.queue_declare(queue, passive=True).message_count
            answers = [ask() or {} for ask in (inspect.active, inspect.reserved, inspect.scheduled)]
            stored = self.redis.info("commandstats").get("cmdstat_publish", {}).get("calls", 0)
            if waiting or [answer.get(name) for answer in answers] != [[], [], []]:
                quiet.clear()
            quiet.append(stored)
            return len(quiet) > 4 and len(set(quiet[-4:])) == 1

        eventually(idle, f"{name} to have nothing more to do", 300)

    def _outcome(self, run, result, chords):
        if isinstance(result, Exception):
            return Outcome(refused=f"{type(result).__name__}: {result}")
        records = [json.loads(record) for record in self.redis.lrange(f"workflow:{run}", 0, -1)]
        places = {}
        _name_places(result, "result", places)
        documents = self._documents([*places, *(record["id"] for record in records)])
        return Outcome(result, records, places, documents, chords=chords)

    def _documents(self, ids):
        """The stored results, with those of all children."""
        found = {}
        wanted = set(ids)
        while wanted:
            asked = sorted(wanted)
            stored = self.redis.mget([f"celery-task-meta-{id}" for id in asked])
            found.update((id, json.loads(text) if text else {}) for id, text in zip(asked, stored))
            children = [found[id].get("children") for id in asked]
            wanted = set(UUID.findall(json.dumps(children))) - set(found)
        return found


def _name_places(result, place, places):
    """Names the ids that a client's result tells of; groups as `None` have no state."""
    if result.id in places:
        return
    places[result.id] = place
    for index, member in enumerate(result.results if isinstance(result, GroupResult) else ()):
        _name_places(member, f"{place}[{index}]", places)
    if result.parent is not None:
        _name_places(result.parent, f"{place}.parent", places)


class Outcome:
    """What happened, in names.

    - `value`: states and results of what the whole workflow is worth;
    - `states`: state and result of every place in the client's result;
    - `runs`: what ran how often: label, retries, what came before, parent, root;
    - `ends`: of every task that ran and ended, its state and its children;
    - `repeated`: the tasks that ran more than once without asking for it;
    - `unfinished`: the tasks that ran and did not end. With Celery a retry without a delay
      may end before the state RETRY of the try before it is stored.
    """

    def __init__(self, result=None, records=(), places=None, documents=None, refused=None, chords=None):
        self.refused = refused
        # Which labels follow a label through a chord: Celery's tasks know it.
        self.chords = chords or {record["label"]: record["chord"] for record in records if record.get("chord")}
        self.whole, self.value, self.states, self.runs, self.ends = [], None, {}, Counter(), Counter()
        self.unfinished, self.repeated = [], []
        if refused:
            return
        groups = _groups_of(result)
        # Celery freezes some groups twice, and then tells of an id that nobody uses.
        names = _names(records, {id: place for id, place in places.items() if id not in groups})
        tell = lambda value: _told(value, names)  # noqa: E731
        end = lambda id: [documents[id].get("status", "PENDING"), tell(documents[id].get("result"))]  # noqa: E731
        self.value = [end(id) for id in _leaves(result)]
        self.whole = [places[id] for id in _leaves(result)]
        self.states = {place: end(id) for id, place in places.items() if id not in groups}
        tries = Counter((record["id"], record["label"], record["retries"]) for record in records)
        self.repeated = sorted({label for (_, label, _), count in tries.items() if count > 1})
        lineage = _Lineage(records, names, self.chords)
        self.runs = Counter(
            (json.dumps([record["label"], record["retries"], tell(record["previous"])]), lineage.of(record))
            for record in records
        )
        ended = {id for record in records if end(id := record["id"])[0] in FINAL}
        self.unfinished = sorted(names[record["id"]] for record in records if record["id"] not in ended)
        self.ends = Counter(
            (json.dumps([names[id], end(id)]), f"children {json.dumps(tell(documents[id].get('children')))}") for id in ended
        )

    @property
    def pending(self):
        """The places that have no answer and will have none."""
        return [place for place, (state, _) in self.states.items() if state not in FINAL]

    @property
    def hangs(self):
        """Whether somebody who waits for the whole waits for ever."""
        return any(place in self.pending for place in self.whole)

    def forget_lineage(self):
        """For a workflow in which some tasks leave no record, and so have no names."""
        runs = Counter()
        for (what, _), count in self.runs.items():
            runs[what, ""] += count
        self.runs = runs

    def told(self):
        """The whole as text."""
        lines = [f"refused  {self.refused}"] if self.refused else [f"value    {json.dumps(self.value)}"]
        lines += [f"state    {place}: {json.dumps(end)}" for place, end in sorted(self.states.items())]
        for name in ("runs", "ends"):
            lines += [f"{name:8} {line}" for line in _counted(getattr(self, name))]
        return lines


def _counted(things):
    return [f"{count} x {what} {more}".rstrip() for (what, more), count in sorted(things.items())]


def _leaves(result):
    """The ids whose results the whole is worth."""
    if isinstance(result, GroupResult):
        return [id for member in result.results for id in _leaves(member)]
    return [result.id]


def _groups_of(result):
    found = set()
    while result is not None:
        if isinstance(result, GroupResult):
            found.add(result.id)
            for member in result.results:
                found |= _groups_of(member)
        result = result.parent
    return found


def _names(records, places):
    names = dict(places)
    labels = {}
    for record in records:
        labels.setdefault(record["id"], set()).add(record["label"])
    names.update((id, "+".join(sorted(found))) for id, found in labels.items())
    return names


def _told(value, names):
    if isinstance(value, str):
        return UUID.sub(lambda id: f"<{names.get(id.group(), '?')}>", value)
    if isinstance(value, list):
        return [_told(one, names) for one in value]
    if isinstance(value, dict):
        # The module of an exception is Python's business or Rust's.
        return {key: _told(one, names) for key, one in sorted(value.items()) if key != "exc_module"}
    return value


class _Lineage:
    """Parent and root of a run.

    The parent of a chord's body is the member of the header that ended last, and its
    root is that one's: any of them, so each stands for all. Errbacks of a body that
    never ran have the workflow's root on a node; Celery makes the body their root.
    """

    def __init__(self, records, names, chords):
        self.names = names
        self.chords = chords
        self.parents = {record["id"]: record["parent"] for record in records}
        self.alike = {}
        first = {}
        for record in records:
            for body in chords.get(record["label"], ()):
                root = first.setdefault(body, record["root"])
                self.alike[self._first(record["root"])] = self._first(root)
        classes = {}
        for record in records:
            classes.setdefault(self._first(record["root"]), set()).add(names.get(record["root"], "?"))
        self.roots = {root: " or ".join(sorted(labels)) for root, labels in classes.items()}

    def _first(self, root):
        while self.alike.get(root, root) != root:
            root = self.alike[root]
        return root

    def _follows_what_never_ran(self, id):
        seen = set()
        while id in self.parents and id not in seen:
            seen.add(id)
            id = self.parents[id]
        return id is not None and id not in seen

    def of(self, record):
        parent = record["parent"] and self.names.get(record["parent"], "?")
        # A task that was replaced goes by all its labels.
        if any(record["label"] in self.chords.get(label, ()) for label in (parent or "").split("+")):
            parent = "the header"
        lost = self._follows_what_never_ran(record["id"])
        return f"parent {parent}, root {None if lost else self.roots[self._first(record['root'])]}"


def compared(celery, ours, given):
    """The outcomes on both sides. Celery's side is first: it may hang."""
    there = celery.outcomes(given)
    return list(zip(there, ours.outcomes(given, [one.chords for one in there])))


def kind_of(differences):
    """What sort of difference it is, whatever the tasks are called."""
    return sorted({re.sub(r"result[\w.\[\]]*|\bt\d+\b|\d+ x ", "", line)[:40] for line in differences})[:1]


def difference(celery, node):
    """What is not the same, in words; nothing when the node did what Celery did.

    Where Celery gives no answer, now or ever, any answer will do, and what follows from
    that answer may run besides.
    """
    if celery.refused or node.refused:
        return [] if celery.refused == node.refused else ["one side refused it"]
    found = ["no answer for the whole"] if node.hangs else []
    found += [f"no end of {label}" for label in node.unfinished]
    found += [f"{label} repeated" for label in node.repeated]
    if celery.repeated:
        # One id with two results: there is nothing to compare with.
        return found
    for place in sorted(celery.states.keys() | node.states.keys()):
        there, here = celery.states.get(place), node.states.get(place)
        if place not in celery.pending and not _same_end(there, here):
            found.append(f"{place}: {json.dumps(there)} against {json.dumps(here)}")
    for name in ("runs", "ends"):
        there, here = getattr(celery, name), getattr(node, name)
        found += [f"{name}: only Celery {line}" for line in _counted(there - here)]
        if not celery.pending and not celery.unfinished:
            found += [f"{name}: only the node {line}" for line in _counted(here - there)]
    return found


def _same_end(there, here):
    """Where a chord's header holds groups Celery blames any member that failed, unnamed."""
    if there is None or here is None or "Join error: " not in json.dumps(there):
        return there == here
    return there[0] == here[0] == "FAILURE"


def called_more(celery, node, workflow):
    """Whether all that differs is that the node ran callbacks, each once, that Celery lost."""
    callbacks = workflows.labels_of_callbacks(workflow)
    less, more, ended = celery.runs - node.runs, node.runs - celery.runs, Counter(what for what, _ in celery.ends.elements())
    ended.subtract(what for what, _ in node.ends.elements())
    only_here = [what for what, _ in more] + [what for what, count in ended.items() if count < 0]
    same = (place in celery.pending or _same_end(end, node.states.get(place)) for place, end in celery.states.items())
    return (
        all(same)
        and not less
        and not +ended
        and all(json.loads(what)[0] in callbacks for what in only_here)
        and max(more.values(), default=0) <= 1
        and not node.repeated
        and not node.unfinished
    )
