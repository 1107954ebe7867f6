"""Dead letters of tasks that real Celery clients sent. Guarantees S44 and S46."""

import json
import urllib.request

import pytest

from processes import eventually


def post(supervisor, path, body):
    request = urllib.request.Request(
        supervisor.url + path,
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


def test_a_client_gets_the_result_of_a_task_that_was_sent_again(
    node, supervisor, client, redis_url, queue
):
    watching = supervisor(redis_url, "--store", "memory:", "-Q", queue)
    node(redis_url)
    app = client(redis_url)
    add = app.tasks["celeriac.add"]
    failed = add.apply_async(("two", 3), headers={"mine": "kept"})
    with pytest.raises(Exception, match="expected"):
        failed.get(timeout=60)

    def kept():
        _, text = watching.get(f"/api/v1/letters?task={failed.id}")
        letters = json.loads(text)["letters"]
        return letters and letters[0]

    letter = eventually(kept, "the dead letter")
    assert (letter["reason"], letter["args"]) == ("failed", '["two", 3]')
    _, text = watching.get(f"/api/v1/letters/{letter['id']}")
    assert json.loads(text)["headers"]["mine"] == "kept"

    post(watching, f"/api/v1/tasks/{failed.id}/replay", {"args": [2, 3]})

    # Who asks from now on; the first handle keeps the failure that it has heard of.
    def succeeded():
        result = app.AsyncResult(failed.id)
        return result.state == "SUCCESS" and result.get(timeout=10) == 5

    eventually(succeeded, "the result of the replay")
