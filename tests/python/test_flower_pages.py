"""Flower's pages in a browser, for a cluster of a Python worker and a node.

Screenshots are kept in `flower/` among the logs of the run.
"""

import re

import pytest

from browser import Browser
from processes import eventually

STATES = {
    "demo.add": ["SUCCESS"],
    "demo.fail": ["FAILURE"],
    # A Python worker's two runs tell of themselves in any order.
    "demo.retry": ["SUCCESS", "RETRY"],
    "demo.sleep": ["STARTED"],
}
TABS = ("pool", "broker", "queues", "tasks", "limits", "config", "system", "other")


@pytest.fixture
def shots(log_folder):
    folder = log_folder / "flower"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def browser(log_folder, unique, tmp_path):
    started = Browser(log_folder / f"{unique('chromium')}.log", tmp_path)
    yield started
    started.close()


class Watched:
    """A worker with a queue of its own, and what was sent to it."""

    def __init__(self, app, worker):
        self.name = worker.name
        self.queue = app.conf.task_default_queue
        self.sent = {
            "demo.add": app.tasks["demo.add"].delay(2, 3),
            "demo.fail": app.tasks["demo.fail"].delay("no paper"),
            "demo.retry": app.tasks["demo.retry"].delay(1),
        }
        for result in self.sent.values():
            result.get(timeout=60, propagate=False)
        # Runs while the pages are looked at.
        self.sent["demo.sleep"] = app.tasks["demo.sleep"].delay(30)


@pytest.mark.timeout(300)
def test_flowers_pages_show_a_node_as_they_show_a_python_worker(
    node, python_worker, client, flower, browser, shots, redis_url, unique
):
    theirs, ours = unique("celery"), unique("node")
    python = python_worker(redis_url, "-E", queue=theirs)
    rust = node(redis_url, "-E=true", program="demo-node", queues=[ours], default_queue=ours, concurrency=2)
    for worker in (python, rust):
        eventually(lambda worker=worker: flower.call("GET", f"/api/workers?refresh=1&workername={worker.name}")[0] == 200,
                   f"Flower to know {worker.name}")
    both = Watched(client(redis_url, theirs), python), Watched(client(redis_url, ours), rust)
    for watched in both:
        for name, result in watched.sent.items():
            eventually(lambda id=result.id, states=STATES[name]: state_of(flower, id) in states, f"{name} as {STATES[name]}")

    dashboard(flower, browser, shots, both)
    worker_pages(flower, browser, shots, both)
    tasks_page(flower, browser, shots, both)
    task_pages(flower, browser, shots, both)

    for watched in both:
        id = watched.sent["demo.sleep"].id
        flower.post(f"/api/task/revoke/{id}?terminate=true&signal=SIGKILL")
        eventually(lambda id=id: state_of(flower, id) == "REVOKED", "the last task to end")


def state_of(flower, id):
    status, info = flower.call("GET", f"/api/task/info/{id}")
    return info["state"] if status == 200 else None


def dashboard(flower, browser, shots, both):
    browser.open(f"{flower.url}/workers")

    def listed():
        rows = {row["Worker"]: row for row in browser.rows("#workers-table")}
        mine = [rows.get(watched.name, {}) for watched in both]
        return mine if all(row.get("Active") == "1" and row.get("Succeeded") == "2" for row in mine) else None

    rows = eventually(listed, "both workers with what they did")
    browser.screenshot(shots / "dashboard.png")
    for row in rows:
        assert row["Status"] == "Online"
        assert row["Failed"] == "1"
        # Received: the retried task came twice.
        assert row["Processed"] == "5"
        assert re.fullmatch(r"[\d.]{3,}", row["Load Average"]), row


def worker_pages(flower, browser, shots, both):
    pages = [tabs_of(flower, browser, shots, watched) for watched in both]
    # The rows of these tables are the same; each side adds tasks and settings of its own.
    for tab in ("pool", "broker", "tasks", "system", "other"):
        python, rust = (set(page[tab]) for page in pages)
        assert python == rust, f"the tab {tab}"
    for page, watched in zip(pages, both):
        assert page["pool"]["Max concurrency"] == "2"
        assert page["pool"]["Worker PID"].isdigit() and page["pool"]["Prefetch Count"].isdigit()
        assert page["broker"]["Hostname"] == "127.0.0.1" and page["broker"]["Transport"] == "amqp"
        assert list(page["queues"]) == [watched.queue]
        counts = {name: page["tasks"][name] for name in ("demo.add", "demo.fail", "demo.retry")}
        assert counts == {"demo.add": "1", "demo.fail": "1", "demo.retry": "2"}
        assert watched.sent["demo.sleep"].id in page["tasks"]["demo.sleep"]
        assert set(STATES) <= set(page["limits"])
        assert page["config"]["task_default_queue"] == watched.queue


def tabs_of(flower, browser, shots, watched):
    """The tables of each tab: the first cell of each row, and the second."""
    # As the page's own entry Refresh does.
    assert flower.call("GET", f"/api/workers?refresh=1&workername={watched.name}")[0] == 200
    browser.open(f"{flower.url}/worker/{watched.name}")
    assert browser.text("#workername") == watched.name
    found = {}
    for tab in TABS:
        browser.run(f"document.querySelector('#worker-tab-{tab}').click()")
        # Shown, and no longer fading in.
        pane = f"document.querySelector('#tab-{tab}')"
        browser.until(f"{pane}.matches('.show') && getComputedStyle({pane}).opacity === '1'", f"the tab {tab}")
        found[tab] = dict(
            browser.run(
                f"""[...document.querySelectorAll('#tab-{tab} tbody tr')].map(
                    row => [row.cells[0].textContent.trim(), (row.cells[1] || row.cells[0]).textContent.trim()])"""
            )
        )
        assert found[tab], f"the tab {tab} of {watched.name} is empty"
        browser.screenshot(shots / f"worker-{watched.name.split('-')[0]}-{tab}.png")
    return found


def tasks_page(flower, browser, shots, both):
    browser.open(f"{flower.url}/tasks")
    browser.until("document.querySelectorAll('#tasks-table tbody tr').length === 8", "eight tasks")
    rows = browser.rows("#tasks-table")
    browser.screenshot(shots / "tasks.png")
    for watched in both:
        mine = {row["Name"]: row for row in rows if row["Worker"] == watched.name}
        assert set(mine) == set(STATES)
        for name, row in mine.items():
            assert row["State"] in STATES[name], row
            assert watched.sent[name].id in row["UUID"]
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+", row["Received"]), row
        assert mine["demo.add"]["Runtime"] and not mine["demo.sleep"]["Runtime"]


def task_pages(flower, browser, shots, both):
    for name in STATES:
        python, rust = (task_page(flower, browser, shots, watched, name) for watched in both)
        # A retry tells of its state and its time in any order on Python's side, and a node
        # says besides until when it waits.
        if name != "demo.retry":
            assert list(python) == list(rust), name
        for field in ("Name", "Arguments", "Keyword arguments", "Result", "Retries"):
            assert python[field] == rust[field], f"{name}: {field}"
    assert python["Status"] == rust["Status"] == "STARTED"


def task_page(flower, browser, shots, watched, name):
    """The fields of a task, in their order."""
    sent = watched.sent[name]
    browser.open(f"{flower.url}/task/{sent.id}")
    fields = dict(
        browser.run(
            """[...document.querySelectorAll('#task-page dl > div')].map(row =>
                [row.querySelector('dt').textContent.trim(), row.querySelector('dd').textContent.trim()])"""
        )
    )
    browser.screenshot(shots / f"task-{watched.name.split('-')[0]}-{name}.png")
    assert sent.id in fields["UUID"]
    assert fields["Worker"] == watched.name
    assert fields["Status"] in STATES[name]
    if name == "demo.fail":
        assert fields["Exception"] == "DemoError('no paper')"
        assert fields["Traceback"].endswith("DemoError: no paper")
    return fields
