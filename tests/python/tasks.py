"""The tasks that the tests run and call, as a Celery project would define them.

`create_app` serves clients; `app` is what `celery -A tasks worker` finds. The `demo.*`
tasks exist a second time in Rust, under the same names, in the binary `demo-node`.
"""

import os
import time

from celery import Celery

import mixed_tasks
import workflow_tasks


class DemoError(Exception):
    """What `demo.fail` raises, here and in Rust."""


def add(x, y):
    return x + y


def mul(x, y):
    return x * y


def echo(*args, **kwargs):
    return {"args": list(args), "kwargs": kwargs}


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def fail(message):
    raise DemoError(message)


def retry(self, times):
    """Asks to run again until it has run `times` times more; returns how often it did."""
    if self.request.retries < times:
        raise self.retry(countdown=0, max_retries=times)
    return self.request.retries


def elsewhere(*_args, **_kwargs):
    raise NotImplementedError("this task runs in the celeriac binary only")


def create_app(broker, backend, queue):
    """A Celery application of its own that sends to `queue` and knows every task."""
    app = Celery("demo", broker=broker, backend=backend, set_as_current=False)
    app.conf.update(
        task_default_queue=queue,
        broker_connection_retry_on_startup=True,
        # A test waits for its broker no longer than a person would.
        broker_connection_max_retries=5,
        broker_connection_timeout=5,
        worker_hijack_root_logger=False,
    )
    for function in (add, mul, echo, sleep, fail):
        app.task(function, name=f"demo.{function.__name__}", shared=False)
    app.task(retry, name="demo.retry", bind=True, shared=False)
    mixed_tasks.register(app)
    workflow_tasks.register(app)
    for name in ("celeriac.ping", "celeriac.add", "celeriac.sleep"):
        app.task(elsewhere, name=name, shared=False)
    return app


app = create_app(
    broker=os.environ.get("CELERIAC_TEST_AMQP_URL"),
    backend=os.environ.get("CELERIAC_TEST_WORKER_BACKEND", "rpc://"),
    queue=os.environ.get("CELERIAC_TEST_WORKER_QUEUE", "celery"),
)
