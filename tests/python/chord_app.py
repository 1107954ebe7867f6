"""The Celery project of the workers that share chords with celeriac's nodes."""

import json
import os

import tasks

app = tasks.app
app.conf.update(json.loads(os.environ.get("CELERIAC_TEST_WORKER_SETTINGS", "{}")))


@app.task(name="demo.grow", bind=True, shared=False)
def grow(self, queue, numbers):
    """Adds to the header of its chord; what is added runs on another queue."""
    for number in numbers:
        self.add_to_chord(app.tasks["demo.add"].s(number, 0).set(queue=queue))
    return 0
