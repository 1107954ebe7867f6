"""The tasks of `tasks.py` in a worker whose Celery is instrumented."""

import os

import spans
from tasks import app

assert app
spans.instrument(os.environ["CELERIAC_TEST_COLLECTOR"])
