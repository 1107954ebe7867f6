"""What nobody means to show is in no answer and no log. Guarantees S48 and S49."""

import json
import re
import socket
import urllib.parse

import pytest

from processes import HttpProcess, eventually, free_port
from test_letters import post

SECRET = "hush-9c41"


def everything(program, **names):
    """Each page and each answer to GET that can be asked for, by its path."""
    document = json.loads(program.get("/api/v1/openapi.json")[1])
    paths = [path for path, item in document["paths"].items() if "get" in item and path != "/api/v1/events"]
    paths += ["/", "/tasks", "/tasks/{id}", "/nodes", "/nodes/{node}", "/queues", "/schedules", "/dead-letters"]
    paths += ["/dead-letters/{letter}", "/events", "/audit", "/api/tasks", "/api/task/info/{id}", "/api/task/result/{id}"]
    paths += ["/api/workers?refresh=1", "/api/workers?refresh=1&workername={node}", f"/api/v1/tasks?argument={SECRET}"]
    found = {}
    for path in paths:
        kind = {"letters": "letter", "nodes": "node", "queues": "queue"}.get(path.split("/")[3] if path.count("/") > 3 else "")
        filled = path.replace("{id}", "{letter}") if kind == "letter" else path.replace("{name}", "{%s}" % kind)
        for name, value in names.items():
            filled = filled.replace("{%s}" % name, urllib.parse.quote(value))
        if "{" not in filled:
            found[filled] = program.get(filled)
    return found


def insists(found, log):
    for path, (_, text) in found.items():
        shown = text.find(SECRET)
        # What was asked for is told back.
        assert shown < 0 or path.endswith(SECRET), f"{path}: ...{text[max(0, shown - 200):shown + 100]}..."
    assert SECRET not in log


def test_arguments_that_tell_are_shown_nowhere(node, supervisor, client, redis_url, queue):
    watching = supervisor(redis_url, "--store", "memory:", "-Q", queue)
    worker = node(redis_url, program="demo-node")
    app = client(redis_url)
    stream = socket.create_connection(watching.url.removeprefix("http://").split(":"))
    stream.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    running = app.send_task("demo.sleep", (60,), {"password": SECRET})
    failed = app.send_task(
        "celeriac.add",
        ("two", 3),
        {"api_key": SECRET},
        headers={"x-auth-token": SECRET},
        link=app.signature("demo.echo", kwargs={"client_secret": SECRET}),
    )
    sent = post(watching, "/api/v1/tasks", {"name": "demo.echo", "kwargs": {"token": SECRET}, "queue": queue})

    def kept():
        letters = json.loads(watching.get(f"/api/v1/letters?task={failed.id}")[1])["letters"]
        return letters and letters[0]["id"]

    letter = eventually(kept, "the dead letter")
    # A refusal tells back what was sent, but no value of it.
    search = f"/api/v1/tasks?argument={SECRET}"
    eventually(lambda: sent["id"] in watching.get("/api/v1/tasks")[1], "the task to be stored")
    assert json.loads(watching.get(search)[1])["tasks"] == []
    for id in (failed.id, sent["id"], running.id):
        found = everything(watching, id=id, letter=letter, node=worker.name, queue=queue)
        assert sum(status == 200 for status, _ in found.values()) > 30, found
        insists(found, watching.log())
    # What is hidden is not lost.
    assert json.loads(watching.get(f"/api/v1/letters/{letter}")[1])["replayable"]
    stream.settimeout(5)
    assert SECRET.encode() not in stream.recv(1 << 20)
    stream.close()


def test_passwords_of_servers_are_shown_nowhere(binary, log_folder, unique, running):
    address = f"127.0.0.1:{free_port()}"
    gone = f"celeriac:{SECRET}@127.0.0.1:{free_port()}"
    servers = ["-b", f"amqp://{gone}/", "-r", f"redis://{gone}/0"]
    log = log_folder / f"{unique('secrets')}.log"
    command = [binary("celeriac"), "supervisor", *servers, "-l", "debug", "--listen", address]
    started = HttpProcess([*command, "--store", "memory:"], address, log=log)
    running.append(started)
    started.until(lambda: started.get("/livez")[0] == 200, "the supervisor to live without its servers")
    started.until(lambda: re.search(r"(?i)refused|unreachable|connect", started.log()), "its log to say why it waits")
    found = everything(started, id="nothing", letter="nothing", node="nobody", queue="mail")
    insists(found, started.log())
    started.kill()

    # A store that cannot be reached ends the start, and says why.
    log = log_folder / f"{unique('secrets')}.log"
    started = HttpProcess([*command, "--store", f"postgres://{gone}/celeriac"], address, log=log)
    running.append(started)
    eventually(lambda: not started.running or started.get("/readyz")[0], "the supervisor to say something", 60)
    if started.running:
        insists(everything(started), started.log())
        started.kill()
    assert SECRET not in started.log() and started.log()


def test_who_goes_away_is_in_the_audit_log_all_the_same(node, supervisor, redis_url, queue):
    watching = supervisor(redis_url, "--store", "memory:", "-Q", queue)
    worker = node(redis_url)
    eventually(lambda: watching.get(f"/api/v1/nodes/{worker.name}")[0] == 200, "the node to be known")
    # Nobody answers, so the request takes longer than its client stays.
    worker.kill()
    body = json.dumps({"command": "pool_grow", "arguments": {"n": 1}})
    path = f"/api/v1/nodes/{worker.name}/control"
    ask = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    with socket.create_connection(watching.url.removeprefix("http://").split(":")) as connection:
        connection.sendall(ask.encode())
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)

    def told():
        return json.loads(watching.get("/api/v1/audit?outcome=failed")[1])["entries"]

    entry = eventually(told, "the entry")[0]
    assert (entry["target"], entry["details"]["status"]) == (path, 504)
