"""Random workflows: made from a seed, turned into Celery's signatures, made smaller.

A workflow is a tree of dictionaries, so it prints well and a smaller one is a tree with
something left out. Every task has a label of its own, by which two runs are compared.
"""

import copy
import random
import re

from celery import chain, chord, group

DEPTH = 4
ERRORS = ("ValueError", "KeyError", "RuntimeError")


def generate(seed):
    return _Generator(random.Random(seed)).workflow()


class _Generator:
    def __init__(self, choose):
        self.choose = choose
        self.labels = 0
        # Most workflows are small, so that a difference is seen in a small one.
        self.budget = choose.choice((3, 5, 8, 12, 18))

    def workflow(self):
        return self.composite(1)

    def often(self, share):
        return self.choose.random() < share

    def node(self, depth):
        if depth > DEPTH or self.budget <= 0 or self.often(0.25 + 0.15 * depth):
            return self.leaf(depth)
        return self.composite(depth)

    def composite(self, depth):
        kind = self.choose.choice(("chain", "chain", "group", "chord", "chord"))
        made = {"kind": kind, "parts": self.nodes(depth, self.choose.randint(1, 3))}
        if kind == "chord":
            made["body"] = self.node(depth + 1)
        if self.often(0.1):
            made["link"] = [self.task("step")]
        if self.often(0.15):
            made["errback"] = [self.task("step")]
        return made

    def nodes(self, depth, count):
        return [self.node(depth + 1) for _ in range(count)]

    def leaf(self, depth):
        kinds = ("step",) * 12 + ("fail",) * 2 + ("again", "exhausted", "map", "starmap", "chunks", "replaced")
        made = self.task(self.choose.choice(kinds))
        if made["kind"] == "replaced":
            made["body"] = self.substitute(depth + 1)
        if self.often(0.15):
            made["immutable"] = True
        if self.often(0.05):
            made["countdown"] = 0
        if self.often(0.12):
            made["link"] = self.callbacks()
        if self.often(0.15):
            made["errback"] = self.callbacks()
        return made

    def substitute(self, depth):
        """Of groups in groups Celery's worker, other than its client, mixes the order."""
        made = self.node(depth)
        while re.search(r"'kind': '(group|chord)'.*'kind': '(group|chunks)'", repr(made)):
            made = self.node(depth)
        return made

    def callbacks(self):
        made = []
        for _ in range(self.choose.choice((1, 1, 2))):
            made.append(self.task(self.choose.choice(("step",) * 5 + ("fail", "again"))))
            if self.often(0.2):
                made[-1]["immutable"] = True
            if self.often(0.1):
                made[-1]["link"] = [self.task("step")]
        return made

    def task(self, kind):
        self.labels += 1
        self.budget -= 1
        made = {"kind": kind, "label": f"t{self.labels}"}
        if kind == "fail":
            made["error"] = self.choose.choice(ERRORS)
        if kind in ("again", "exhausted"):
            made["times"] = self.choose.randint(1, 2)
        return made


def build(workflow, app, run):
    """The workflow as a signature, whose runs are recorded under `run`."""

    def make(node):
        made = signature(node)
        for callback in node.get("link", ()):
            made.link(make(callback))
        for callback in node.get("errback", ()):
            made.link_error(make(callback))
        return made

    def signature(node):
        kind = node["kind"]
        if kind == "chain":
            return chain(*(make(part) for part in node["parts"]), app=app)
        if kind == "group":
            return group([make(part) for part in node["parts"]], app=app)
        if kind == "chord":
            return chord([make(part) for part in node["parts"]], make(node["body"]), app=app)
        return leaf(node)

    def leaf(node):
        kind = node["kind"]
        if kind in ("map", "starmap", "chunks"):
            made = spread(kind, node["label"])
            # They have no place for the result of what came before.
            made.set_immutable(True)
            return made
        options = {"immutable": node.get("immutable", False)}
        if "countdown" in node:
            options["countdown"] = node["countdown"]
        kwargs = {"label": node["label"], "run": run}
        if kind == "fail":
            kwargs["kind"] = node["error"]
        if kind in ("again", "exhausted"):
            kwargs["times"] = node["times"]
            kwargs["allowed"] = node["times"] - (kind == "exhausted")
            kind = "again"
        if kind == "replaced":
            kwargs["substitute"] = make(node["body"])
        return app.tasks[f"workflow.{kind}"].signature((), kwargs, **options)

    def spread(kind, label):
        if kind == "map":
            return app.tasks["workflow.item"].map([label, 1, None])
        pairs = [(1, 2), (3, 4), (5, 6)]
        if kind == "starmap":
            return app.tasks["workflow.pair"].starmap(pairs)
        # Celery treats this group as one without members until it is a list.
        return group(list(app.tasks["workflow.pair"].chunks(pairs, 2).group().tasks), app=app)

    return make(workflow)


def smaller(workflow):
    """Every workflow with one thing less, the smallest first."""
    found = [part for part in _inside(workflow) if "parts" in part]

    def visit(node, put):
        for key in ("link", "errback", "immutable", "countdown"):
            if key in node:
                found.append(put({name: value for name, value in node.items() if name != key}))
        parts = node.get("parts", [])
        for index, part in enumerate(parts):
            if len(parts) > 1:
                found.append(put({**node, "parts": parts[:index] + parts[index + 1 :]}))

            def put_part(new, index=index):
                return put({**node, "parts": parts[:index] + [new] + parts[index + 1 :]})

            found.extend(put_part(inner) for inner in _inside(part))
            visit(part, put_part)
        if "body" in node:
            found.extend(put({**node, "body": inner}) for inner in _inside(node["body"]))
            visit(node["body"], lambda new: put({**node, "body": new}))
        for key in ("link", "errback"):
            callbacks = node.get(key, [])
            for index, callback in enumerate(callbacks):
                if len(callbacks) > 1:
                    found.append(put({**node, key: callbacks[:index] + callbacks[index + 1 :]}))
                visit(callback, lambda new, key=key, index=index: put(
                    {**node, key: node[key][:index] + [new] + node[key][index + 1 :]}
                ))

    visit(workflow, lambda new: new)
    return sorted((copy.deepcopy(one) for one in found), key=size)


def _inside(node):
    return [*node.get("parts", ()), *([node["body"]] if "body" in node else [])]


def leaves_records(workflow):
    """Whether all its tasks do: what `map` and the like call has no place for a label."""
    kinds = re.findall(r"'kind': '(\w+)'", repr(workflow))
    return not {"map", "starmap", "chunks"} & set(kinds)


def labels_of_callbacks(node):
    """The labels of all callbacks and error callbacks, with those of what follows them."""
    found = set(re.findall(r"'label': '(\w+)'", repr([node.get("link"), node.get("errback")])))
    return found.union(*map(labels_of_callbacks, _inside(node)))


def size(workflow):
    inner = [*_inside(workflow), *workflow.get("link", ()), *workflow.get("errback", ())]
    return 1 + sum(map(size, inner))


def written(workflow):
    """The workflow on one line, as a person would write it."""
    kind = workflow["kind"]
    if "parts" in workflow:
        parts = [written(part) for part in workflow["parts"]]
        text = f"{kind}({', '.join(parts)})"
        if kind == "chord":
            text = f"chord([{', '.join(parts)}], {written(workflow['body'])})"
    else:
        text = f"{kind}:{workflow['label']}"
        if "error" in workflow:
            text += f"({workflow['error']})"
        if "times" in workflow:
            text += f"({workflow['times']})"
        if "body" in workflow:
            text += f"({written(workflow['body'])})"
    if workflow.get("immutable"):
        text += ".immutable"
    if "countdown" in workflow:
        text += f".countdown({workflow['countdown']})"
    for key in ("link", "errback"):
        for callback in workflow.get(key, ()):
            text += f".{key}({written(callback)})"
    return text
