"""Messages that mean harm."""

import sys

from kombu import Connection

# Deep enough to overflow a thread's usual stack in a parser that recurses.
LEVELS = 3000


def test_a_deeply_nested_header_does_not_end_a_node(node, client, amqp_url, redis_url, queue):
    node(redis_url)
    app = client(redis_url)
    nested = []
    for _ in range(LEVELS):
        nested = [nested]
    headers = {"task": "celeriac.add", "id": queue, "x-deep": nested}
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(LEVELS * 10)
    try:
        with Connection(amqp_url) as connection:
            producer = connection.Producer(serializer="json")
            producer.publish([[2, 3], {}, None], routing_key=queue, headers=headers)
    finally:
        sys.setrecursionlimit(limit)

    assert app.AsyncResult(queue).get(timeout=60) == 5
    assert app.tasks["celeriac.add"].delay(1, 1).get(timeout=60) == 2
