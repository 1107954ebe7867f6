"""The tasks of the random workflows; `demo-node` has them in Rust under the same names.

Each run leaves a record in the Redis list of its workflow, so that a test sees what
ran, how often, with what, and below whom.
"""

import builtins
import functools
import json
import os
import re

import redis

LABEL = re.compile(r'"label": "(\w+)"')


@functools.cache
def _redis():
    return redis.Redis.from_url(os.environ["CELERIAC_TEST_REDIS_URL"])


def _note(request, run, label, previous):
    record = {
        "label": label,
        "id": request.id,
        "root": request.root_id,
        "parent": request.parent_id,
        # The labels of what the chord's end sends; a task in Rust does not see them.
        "chord": sorted(set(LABEL.findall(json.dumps(request.chord)))),
        "retries": request.retries,
        "previous": previous,
    }
    _redis().rpush(f"workflow:{run}", json.dumps(record))


def step(self, previous=None, *, label, run):
    _note(self.request, run, label, previous)
    return [label, previous]


def fail(self, previous=None, *, label, run, kind):
    _note(self.request, run, label, previous)
    raise getattr(builtins, kind)(label)


def again(self, previous=None, *, label, run, times, allowed):
    """Runs again so many times, of which so many are allowed."""
    _note(self.request, run, label, previous)
    if self.request.retries < times:
        raise self.retry(countdown=0, max_retries=allowed, exc=OSError(label))
    return [label, previous]


def replaced(self, previous=None, *, label, run, substitute):
    """Has something else run in its place."""
    _note(self.request, run, label, previous)
    raise self.replace(self.app.signature(substitute))


def item(value):
    return [value]


def pair(x, y):
    return [y, x]


def register(app):
    for function in (step, fail, again, replaced):
        app.task(function, name=f"workflow.{function.__name__}", bind=True, shared=False)
    for function in (item, pair):
        app.task(function, name=f"workflow.{function.__name__}", shared=False)
