"""The control room's pages in a browser.

Screenshots of each page are kept in `pages/` among the logs of the run: light, dark, and
as wide as a phone.
"""

import hashlib
import html
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from browser import Browser
from processes import eventually

HERE = Path(__file__).parent
ASSETS = HERE.parent.parent / "supervisor" / "assets"
CHECKS = (HERE / "page_checks.js").read_text()


@pytest.fixture
def shots(log_folder):
    folder = log_folder / "pages"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def browser(log_folder, unique, tmp_path):
    started = Browser(log_folder / f"{unique('chromium')}.log", tmp_path)
    started.look()
    yield started
    started.close()


@pytest.fixture
def cluster(node, supervisor, client, redis_url, unique):
    """A supervisor, a node with a queue of its own, and a client of it."""
    queue = unique("day")
    room = supervisor(redis_url, "--store", "memory:")
    worker = node(redis_url, "-E=true", program="demo-node", queues=[queue], default_queue=queue, concurrency=2)
    app = client(redis_url, queue)
    app.conf.task_send_sent_event = True
    eventually(lambda: api(room, f"/api/v1/nodes/{worker.name}").get("concurrency") == 2, "the node to be known")
    eventually(lambda: api(room, f"/api/v1/queues/{queue}").get("consumers") == 1, "the queue to be known", 60)
    return Cluster(room, worker, queue, app)


class Cluster:
    def __init__(self, room, worker, queue, app):
        self.room, self.worker, self.queue, self.app = room, worker, queue, app

    def send(self, name, *args):
        return self.app.tasks[name].delay(*args)

    def state(self, id):
        return api(self.room, f"/api/v1/tasks/{id}").get("state")

    def until(self, id, state):
        return eventually(lambda: self.state(id) == state, f"{id} as {state}")


def api(room, path):
    status, text = room.get(path)
    return json.loads(text) if status == 200 else {}


def quiet(browser):
    """Insists that no page complained: no error, no refusal of the content policy."""
    browser.run("1")
    complaints = [one for one in browser.complaints if "favicon" not in one]
    assert complaints == [], "\n".join(complaints)


def note(browser, part):
    browser.until(f"(document.querySelector('main .note') || {{}}).textContent?.includes({json.dumps(part)})", f"the note '{part}'")


def follow(browser, selector):
    """Clicks a link and waits for its page."""
    browser.run("window.left = true")
    browser.click(selector)
    browser.until("!window.left && document.readyState === 'complete'", f"the page behind {selector}")


@pytest.mark.timeout(300)
def test_the_replicas_of_pools_are_shown(node, supervisor, kubernetes, browser, shots, redis_url, unique):
    room = supervisor(redis_url, "--store", "memory:", *kubernetes.flags, env=kubernetes.variables)
    pod = unique("celeriac-node-5d4")
    node(redis_url, "-E=true", name=f"celeriac@{pod}", queues=["day"])
    kubernetes.put_pod(pod)
    kubernetes.put_pod("celeriac-node-5d4-gone", deletionTimestamp="2026-01-01T00:00:00Z")
    kubernetes.put_deployment("celeriac-node", 4, "default", replicas=3, readyReplicas=2, updatedReplicas=3)
    kubernetes.put_deployment("celeriac-node-large", 0, "large")
    eventually(lambda: api(room, f"/api/v1/nodes/celeriac@{pod}").get("queues") == ["day"], "the node to be known")
    row = "document.querySelector('tr[id^=pool-] th')?.textContent"
    browser.open(room.url + "/nodes")
    browser.until(f"{row} === 'default'", "the pool")
    cells = browser.run("[...document.querySelector('tr[id^=pool-]').cells].map(cell => cell.textContent.trim())")
    assert cells == ["default", "scaling up", "4", "3", "2", "3", "1", "0", "day"]
    assert browser.run("[...document.querySelectorAll('tr[id^=pool-] .pill')].map(pill => pill.textContent)") == ["scaling up", "off"]
    for name, look in {"light": {}, "dark": {"theme": "dark"}, "phone": {"width": 390, "height": 800}}.items():
        browser.look(**look)
        browser.screenshot(shots / f"pools-{name}.png")
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide"
    browser.look()
    browser.open(room.url + "/")
    browser.until("document.body.textContent.includes('3 of 4 pods in 2 pools, 2 ready, 1 draining')", "the line of the overview")
    browser.screenshot(shots / "pools-overview.png")

    # A right that is missing is said where the figures would be, and hides nothing else.
    kubernetes.change(forbidden=["list deployments"])
    eventually(lambda: "may not list deployments" in (api(room, "/api/v1/pools")["trouble"] or ""), "the reason")
    browser.open(room.url + "/nodes")
    assert "may not list deployments" in browser.text(".card .bad")
    browser.until(f"document.body.textContent.includes('celeriac@{pod}')", "the nodes")
    quiet(browser)


@pytest.mark.timeout(300)
def test_an_operators_day(cluster, browser, shots):
    room, worker, queue = cluster.room, cluster.worker, cluster.queue
    broken = cluster.send("demo.add", 1, "two")
    cluster.until(broken.id, "FAILURE")
    cluster.send("demo.add", 1, 2).get(timeout=60)

    # In the morning the overview says that something fails.
    browser.open(room.url + "/")
    browser.until("document.querySelector('.attention')?.textContent.includes('failed in the last')", "the failure on the overview")
    follow(browser, ".attention a[href*='FAILURE']")
    assert browser.address() == "/tasks?state=FAILURE"
    follow(browser, f"a[href='/tasks/{broken.id}']")
    traceback = browser.text("#traceback")
    assert "two" in traceback, traceback
    browser.screenshot(shots / "day-failure.png")

    # Its arguments were wrong. A mistake in the form is named and sends nothing.
    browser.click("#ask-replay > summary")
    browser.fill("#replay-args", "[1, ")
    browser.click("#ask-replay form button")
    browser.until("document.querySelector('#replay-wrong')?.textContent.includes('args: expected')", "the mistake, named")
    assert browser.run("document.querySelector('#replay-args').value") == "[1, "
    browser.fill("#replay-args", "[1, 2]")
    browser.click("#ask-replay form button")
    note(browser, "sent again")
    again = browser.run("document.querySelector('#task-id').textContent")
    cluster.until(again, "SUCCESS")
    browser.until("document.querySelector('main .pill').textContent === 'SUCCESS'", "the page to follow by itself")
    assert browser.text("#result") == "3"

    # A task runs for too long.
    endless = cluster.send("demo.sleep", 600)
    cluster.until(endless.id, "STARTED")
    browser.open(f"{room.url}/nodes/{worker.name}")
    browser.until(f"document.querySelector('a[href=\"/tasks/{endless.id}\"]')", "the task on its node's page")
    browser.screenshot(shots / "day-node.png")
    follow(browser, f"a[href='/tasks/{endless.id}']")
    browser.click("#ask-revoke > summary")
    browser.click("#revoke-terminate")
    browser.click("#ask-revoke form button")
    note(browser, "told")
    cluster.until(endless.id, "REVOKED")

    # A queue is paused, purged, and goes on.
    browser.open(room.url + "/queues")
    row = f"tr[id='{queue}']"
    browser.click(f"{row} form[action$='/pause'] button")
    note(browser, "is paused")
    browser.until(f"document.querySelector(\"{row}\").textContent.includes('paused')", "the queue as paused")
    eventually(lambda: api(room, f"/api/v1/queues/{queue}").get("consumers") == 0, "no consumer", 60)
    lost = [cluster.send("demo.add", n, n) for n in range(3)]
    eventually(lambda: api(room, f"/api/v1/queues/{queue}").get("ready") == 3, "three messages", 60)
    browser.until(f"document.querySelector(\"{row} td[data-label=Ready]\").textContent.trim() === '3'", "three on the page")
    browser.click(f"{row} details.ask summary")
    browser.fill(f"{row} details.ask input", "another")
    browser.click(f"{row} details.ask form button")
    browser.until("document.querySelector('main').textContent.includes('confirm: expected')", "the wrong name to be refused")
    browser.open(room.url + "/queues")
    browser.click(f"{row} details.ask summary")
    browser.fill(f"{row} details.ask input", queue)
    browser.click(f"{row} details.ask form button")
    note(browser, "3 messages")
    browser.click(f"{row} form[action$='/resume'] button")
    note(browser, "goes on")
    assert cluster.send("demo.add", 4, 5).get(timeout=60) == 9
    assert all(cluster.state(one.id) == "PENDING" for one in lost)

    schedule(cluster, browser, shots)

    # In the evening the node is drained, and ends.
    browser.open(f"{room.url}/nodes/{worker.name}")
    browser.click("form[action$='/drain'] button")
    note(browser, "It drains")
    eventually(lambda: not worker.running, "the node to end")
    browser.until("document.querySelector('main .pill').textContent.match(/offline|draining/)", "the node's state")

    # All of it is in the audit log.
    browser.open(room.url + "/audit")
    actions = {row["Action"] for row in browser.rows("main table")}
    expected = {"task.revoke", "queue.pause", "queue.resume", "queue.purge", "node.drain", "schedule.disable", "schedule.run"}
    assert expected <= actions, actions
    # The refusals that were asked for are 400s, which a browser logs.
    browser.complaints = [one for one in browser.complaints if "status of 400" not in one]
    quiet(browser)


def schedule(cluster, browser, shots):
    """A schedule is made, corrected, run and switched off."""
    room = cluster.room
    browser.open(room.url + "/schedules")
    follow(browser, "a[href='/schedules/new']")
    browser.fill("#e-name", "count")
    browser.fill("#e-task", "demo.add")
    browser.fill("#e-args", "[20, 22]")
    browser.fill("#e-queue", cluster.queue)
    browser.fill("#e-crontab", "61 * * * *")
    browser.until("document.querySelector('#wrong-crontab')?.textContent", "what is wrong with the line, while it is written")
    browser.fill("#e-crontab", "30 3 * * mon-fri")
    browser.until("document.querySelectorAll('#next-runs li').length === 10", "the next ten runs, before it is saved")
    browser.screenshot(shots / "day-schedule.png")
    browser.click("form[data-preview] button.primary")
    note(browser, "count")
    browser.until("location.pathname === '/schedules/count'", "the page of the schedule")
    browser.until("document.querySelectorAll('#next-runs li').length === 10", "its next runs")
    browser.fill("#e-crontab", "0 4 * * *")
    browser.click("form[data-preview] button.primary")
    note(browser, "saved")
    eventually(lambda: "0 4 * * *" in room.get("/api/v1/schedules/count")[1], "the change to be stored")
    browser.click(".head form[action$='/run'] button")
    note(browser, "sent")
    eventually(lambda: any(task["state"] == "SUCCESS" and task["args"] and "20" in task["args"]
                           for task in api(room, "/api/v1/tasks?name=demo.add").get("tasks", [])), "the task of the schedule")
    browser.open(room.url + "/schedules")
    browser.click("#s-count form[action$='/disable'] button")
    note(browser, "disabled")
    browser.until("document.querySelector('#s-count').textContent.includes('off')", "the schedule to be off")


def pages(cluster, failed, done):
    return {
        "overview": "/",
        "nodes": "/nodes",
        "node": f"/nodes/{cluster.worker.name}",
        "tasks": "/tasks",
        "tasks-filtered": "/tasks?state=FAILURE&name=demo",
        "tasks-none": "/tasks?name=nothing-is-called-so",
        "task-failed": f"/tasks/{failed}",
        "task-done": f"/tasks/{done}",
        "queues": "/queues",
        "schedules": "/schedules",
        "schedule-new": "/schedules/new",
        "dead-letters": "/dead-letters",
        "events": "/events",
        "audit": "/audit",
        "help": "/help",
        "missing": "/tasks/there-is-none",
    }


@pytest.mark.timeout(300)
def test_every_page_is_in_order_light_dark_and_on_a_phone(cluster, browser, shots):
    from celery import chord

    add, total = cluster.app.tasks["demo.add"], cluster.app.signature("demo.tsum")
    failed = cluster.send("demo.fail", "no paper in the tray of the second floor's printer, and nobody there to put some in")
    done = chord([add.s(n, n) for n in range(5)])(total)
    cluster.until(failed.id, "FAILURE")
    cluster.until(done.id, "SUCCESS")
    running = cluster.send("demo.sleep", 600)
    cluster.until(running.id, "STARTED")
    wrong = []
    for width, height, theme in ((1400, 1000, "light"), (1400, 1000, "dark"), (360, 740, "light"), (360, 740, "dark")):
        browser.look(width, height, theme, motion=False)
        for name, path in pages(cluster, failed.id, done.id).items():
            browser.open(cluster.room.url + path)
            browser.until("document.documentElement.dataset.scripts !== undefined", "the scripts of the page")
            if name == "overview":
                browser.until("document.querySelectorAll('.chart canvas').length === 3", "three charts")
            wrong += [f"{path}, {width} wide, {theme}: {one}" for one in browser.run(CHECKS)]
            form = "phone-" if width < 600 else ""
            browser.screenshot(shots / f"{name}-{form}{theme}.png")
    cluster.app.control.revoke(running.id, terminate=True)
    assert wrong == [], "\n".join(wrong)
    browser.complaints = [one for one in browser.complaints if "status of 404" not in one]
    quiet(browser)


@pytest.mark.timeout(300)
def test_the_main_way_needs_no_mouse(cluster, browser):
    failed = cluster.send("demo.fail", "by keys alone")
    cluster.until(failed.id, "FAILURE")
    browser.open(cluster.room.url + "/")
    focused = "document.activeElement"
    browser.press("Tab")
    assert browser.run(f"{focused}.className") == "skip"
    browser.press("Enter")
    assert browser.run("location.hash") == "#main"
    browser.press("?")
    assert browser.run("document.querySelector('#keys').open")
    browser.press("Escape")
    assert not browser.run("document.querySelector('#keys').open")
    browser.run("window.left = true")
    browser.press("g", "t")
    # Its scripts have to run before it hears keys.
    browser.until("!window.left && document.readyState === 'complete' && location.pathname === '/tasks' && document.querySelector('tbody tr')", "the tasks")
    browser.press("/")
    browser.until(f"{focused}.id === 'f-name'", "the filter to have the focus")
    browser.write("demo.fail")
    browser.press("Tab", "Tab")
    browser.write(cluster.worker.name)
    browser.until("location.search.startsWith('?name=demo.fail&node=')", "the filter in the address")
    browser.until("document.querySelectorAll('tbody tr').length === 1", "one task")
    browser.press("Escape", "j")
    browser.until(f"{focused}.closest('tbody') !== null", "the first row to have the focus")
    # The focus can be seen.
    assert browser.run(f"getComputedStyle({focused}).outlineStyle") == "solid"
    browser.run("window.left = true")
    browser.press("Enter")
    browser.until(f"!window.left && document.readyState === 'complete' && location.pathname === '/tasks/{failed.id}'", "the task")
    # Every control of the page is reached with Tab, in the order of the page.
    reached = []
    browser.run("document.querySelector('main').focus()")
    for _ in range(40):
        browser.press("Tab")
        reached.append(browser.run(f"{focused}.id || {focused}.textContent.trim().slice(0, 20)"))
    for control in ("Replay…", "traceback", "Copy the traceback", "args"):
        assert control in reached, (control, reached)
    browser.run("document.querySelector('#ask-replay > summary').focus()")
    browser.press("Enter")
    browser.until(f"{focused}.id === 'replay-args'", "the form to open with the focus in it")
    browser.press("Escape")
    assert not browser.run("document.querySelector('#ask-replay').open")
    assert browser.run(f"{focused}.tagName") == "SUMMARY"
    quiet(browser)


@pytest.mark.timeout(300)
def test_pages_change_while_they_are_looked_at(cluster, browser):
    # Other tests' tasks are seen too, but not those of this node.
    browser.open(f"{cluster.room.url}/tasks?node={cluster.worker.name}")
    cluster.send("demo.add", 1, 1).get(timeout=60)
    browser.until("document.querySelectorAll('tbody tr').length === 1", "the first task to arrive")
    browser.click("tbody input[data-row]")
    ticked = browser.run("document.querySelector('tbody tr').id")
    more = [cluster.send("demo.add", n, n) for n in range(5)]
    for result in more:
        result.get(timeout=60)
    # Somebody chooses rows: they stay where they are, and a button says what came.
    browser.until("!document.querySelector('.arrivals').hidden && document.querySelector('.arrivals').textContent.includes('5 new')", "the news")
    assert browser.run("[...document.querySelectorAll('tbody tr')].map(row => row.id)") == [ticked]
    assert browser.run("document.querySelector('tbody input').checked")
    browser.click(".arrivals button")
    browser.until("document.querySelectorAll('tbody tr').length === 6", "all of them")
    # What somebody writes stays.
    browser.fill("#f-error", "half a wo")
    cluster.send("demo.add", 9, 9).get(timeout=60)
    browser.until("document.querySelector('#f-error').value === 'half a wo'", "the half word")

    browser.open(cluster.room.url + "/events")
    browser.until("document.querySelector('#events-state').textContent === 'live'", "the stream")
    cluster.send("demo.add", 7, 7).get(timeout=60)
    browser.until("[...document.querySelectorAll('#events tr')].some(row => row.textContent.includes('SUCCESS'))", "the event")
    browser.press("l")
    browser.until("document.querySelector('#pause').getAttribute('aria-pressed') === 'true'", "the pause")
    quiet(browser)


@pytest.mark.timeout(300)
def test_pages_work_without_scripts(cluster, browser):
    broken = cluster.send("demo.add", 1, "two")
    cluster.until(broken.id, "FAILURE")
    eventually(lambda: broken.id in str(api(cluster.room, "/api/v1/tasks?state=FAILURE")), "the failure in the list")
    browser.scripts(False)
    # Scripts of the test run all the same, but none of the page.
    browser.open(f"{cluster.room.url}/tasks?state=FAILURE")
    assert browser.run("document.documentElement.dataset.scripts") is None
    assert broken.id in browser.run("document.querySelector('tbody').innerHTML")
    follow(browser, f"a[href='/tasks/{broken.id}']")
    browser.click("#ask-replay > summary")
    browser.fill("#replay-args", "[40, 2]")
    follow(browser, "#ask-replay form button")
    assert "sent again" in browser.text("main .note")
    cluster.until(browser.run("document.querySelector('#task-id').textContent"), "SUCCESS")


@pytest.mark.timeout(300)
def test_dead_letters_are_replayed_and_discarded(cluster, browser, shots):
    room, broken = cluster.room, [cluster.send("demo.add", n, "two") for n in range(3)]
    for one in broken:
        cluster.until(one.id, "FAILURE")

    def letters():
        kept = api(room, f"/api/v1/letters?queue={cluster.queue}").get("letters", [])
        return {letter["task_id"]: letter["id"] for letter in kept}

    eventually(lambda: len(letters()) == 3, "the dead letters", 60)
    mine = f"{room.url}/dead-letters?queue={cluster.queue}"
    browser.open(mine)
    browser.until("document.querySelectorAll('tbody tr').length === 3", "three letters")
    browser.screenshot(shots / "letters.png")
    # One is corrected and sent again, after a mistake that is named.
    follow(browser, f"tbody a[href='/dead-letters/{letters()[broken[0].id]}']")
    browser.screenshot(shots / "letter.png")
    browser.fill("#replay-args", "[1, ")
    browser.click("form[action$='/replay'] button.primary")
    browser.until("document.querySelector('#replay-wrong')?.textContent.startsWith('args')", "the mistake, named")
    browser.fill("#replay-args", "[40, 2]")
    browser.click("form[action$='/replay'] button.primary")
    note(browser, "sent again")
    cluster.until(browser.run("document.querySelector('#task-id').textContent"), "SUCCESS")
    # One is discarded on its page.
    browser.open(f"{room.url}/dead-letters/{letters()[broken[1].id]}")
    browser.click("#ask-discard > summary")
    browser.click("#ask-discard form button")
    note(browser, "discarded")
    eventually(lambda: list(letters()) == [broken[2].id], "one letter to be left")
    # The last one is ticked and discarded from the list.
    browser.open(mine)
    browser.until("document.querySelectorAll('tbody tr').length === 1", "the last letter")
    browser.click("tbody input[data-row]")
    browser.click("#ask-bulk > summary")
    browser.click("#ask-bulk button.danger")
    browser.until("document.querySelector('main .note')", "a note")
    eventually(lambda: not letters(), "no letter to be left")
    browser.complaints = [one for one in browser.complaints if "status of 400" not in one]
    quiet(browser)


@pytest.mark.timeout(300)
def test_controls_that_a_role_may_not_use_are_off_and_say_why(node, supervisor, client, browser, redis_url, unique, tmp_path, shots):
    people = {"eve": "viewer", "bob": "operator", "amy": "admin"}
    settings = tmp_path / "celeriac.toml"
    settings.write_text("".join(
        f'[[user]]\nname = "{name}"\nrole = "{role}"\npassword_file = "{tmp_path / name}"\n\n' for name, role in people.items()
    ))
    for name in people:
        (tmp_path / name).write_text(f"secret of {name}")
    queue = unique("roles")
    room = supervisor(redis_url, "--store", "memory:", "--config", settings)
    worker = node(redis_url, "-E=true", program="demo-node", queues=[queue], default_queue=queue)
    running = client(redis_url, queue).tasks["demo.sleep"].delay(600)
    off = "[...document.querySelectorAll('main form[method=post] button')].map(at => [at.textContent.trim(), at.disabled, at.title])"

    def buttons(path):
        browser.open(room.url + path)
        return {name: (disabled, title) for name, disabled, title in browser.run(off)}

    for name, role in people.items():
        browser.sign_in(name, f"secret of {name}")
        browser.open(room.url + f"/nodes/{worker.name}")
        browser.until("document.querySelector('.foot').textContent.includes(" + json.dumps(f"{name}, {role}") + ")", "who is signed in")
        browser.open(f"{room.url}/queues")
        browser.until(f"document.querySelector(\"tr[id='{queue}']\")", "the queue")
        of_node, of_queue = buttons(f"/nodes/{worker.name}"), buttons("/queues")
        browser.screenshot(shots / f"queues-{role}.png")
        of_task, of_schedule = buttons(f"/tasks/{running.id}"), buttons("/schedules/new")
        for found, operator, admin in (
            (of_node, "Drain", "Shut down"),
            (of_queue, "Pause", f"Purge {queue}"),
            (of_task, "Revoke", None),
            (of_schedule, None, "Create"),
        ):
            for control, needed in ((operator, "operator"), (admin, "admin")):
                if control is None:
                    continue
                key = next((at for at in found if at.startswith(control)), None)
                assert key, (role, control, found)
                disabled, title = found[key]
                may = role == "admin" or role == needed
                assert disabled != may, (role, control, disabled)
                assert may or needed in title, (role, control, title)
    # The audit log is the admin's.
    browser.open(room.url + "/audit")
    assert browser.run("document.querySelector('main table, main .empty')") is not None
    browser.sign_in("eve", "secret of eve")
    browser.open(room.url + "/audit")
    assert "admin" in browser.text("main")
    client(redis_url, queue).control.revoke(running.id, terminate=True)


@pytest.mark.timeout(120)
def test_every_form_does_what_it_says_or_names_what_is_wrong(cluster):
    room, node, queue = cluster.room, cluster.worker.name, cluster.queue
    visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def sent(path, expected, **fields):
        """Sends a form; the page that follows, with its note, or the refusal has these words."""
        asked = urllib.request.Request(room.url + path, urllib.parse.urlencode(fields, doseq=True).encode())
        asked.add_header("Accept", "text/html")
        try:
            with visitor.open(asked, timeout=20) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            text = error.read().decode()
        assert expected in html.unescape(text), f"{path} {fields}: {text}"

    def concurrency():
        return api(room, f"/api/v1/nodes/{node}").get("concurrency")

    control = f"/nodes/{node}/control"
    sent(control, "n: expected", command="pool_grow", n="many")
    sent(control, "The node says: pool will grow", command="pool_grow", n=1)
    eventually(lambda: concurrency() == 3, "a place more")
    sent(control, "The node says: pool will shrink", command="pool_shrink", n=1)
    eventually(lambda: concurrency() == 2, "a place less")
    sent(control, "rate limit set", command="rate_limit", task_name="demo.mul", rate_limit="10/m")
    sent(control, "time limits set", command="time_limit", task_name="demo.mul", soft="1.5", hard="3")

    done = [cluster.send("demo.add", n, n) for n in range(2)]
    for one in done:
        cluster.until(one.id, "SUCCESS")

    def added():
        return api(room, f"/api/v1/tasks?name=demo.add&worker={node}&state=SUCCESS").get("tasks", [])

    eventually(lambda: len(added()) == 2, "both in the list")
    matching = {"which": "matching", "name": "demo.add", "node": node}
    sent("/tasks/replay", "id: expected", which="ticked")
    sent("/tasks/replay", "confirm: expected 2", confirm=1, **matching)
    sent("/tasks/replay", "2 tasks were sent again", confirm=2, **matching)
    eventually(lambda: len(added()) == 4, "both again")
    running = [cluster.send("demo.sleep", 600) for _ in range(2)]
    for one in running:
        cluster.until(one.id, "STARTED")
    sent("/tasks/revoke", "call 2 tasks off", which="ticked", id=[one.id for one in running], terminate="true")
    for one in running:
        cluster.until(one.id, "REVOKED")

    for n in range(2):
        cluster.send("demo.fail", str(n))

    def letters():
        return len(api(room, f"/api/v1/letters?queue={queue}").get("letters", []))

    eventually(lambda: letters() == 2, "the dead letters", 60)
    sent("/dead-letters/replay", "confirm: expected", which="matching", queue=queue)
    sent("/dead-letters/replay", "2 letters replayed", which="matching", queue=queue, confirm=2)
    eventually(lambda: letters() == 2, "what failed again", 60)
    sent("/dead-letters/discard", "2 letters discarded", which="matching", queue=queue, confirm=2)
    assert letters() == 0

    entry = {"kind": "every", "every": "1h", "name": "hourly", "task": "demo.add", "queue": queue}
    sent("/schedules", "every: expected", **{**entry, "every": "often"})
    sent("/schedules", "hourly was made", **entry)
    for action, enabled in (("enable", True), ("disable", False)):
        sent(f"/schedules/hourly/{action}", f"hourly is {action}d")
        eventually(lambda: api(room, "/api/v1/schedules/hourly").get("enabled") is enabled, f"{action}d")
    sent("/schedules/hourly/delete", "confirm: expected 'hourly'", confirm="another")
    sent("/schedules/hourly/delete", "hourly was deleted", confirm="hourly")
    eventually(lambda: room.get("/api/v1/schedules/hourly")[0] == 404, "it to be gone")

    sent(f"/nodes/{node}/shutdown", f"confirm: expected '{node}'", confirm="another")
    assert cluster.worker.running
    sent(f"/nodes/{node}/shutdown", "told to shut down", confirm=node)
    eventually(lambda: not cluster.worker.running, "the node to end")


@pytest.mark.timeout(120)
def test_times_and_theme_are_the_viewers_choice(cluster, browser):
    cluster.send("demo.add", 1, 1).get(timeout=60)
    browser.open(cluster.room.url + "/tasks")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = browser.run(ground)
    browser.click("#theme")
    browser.click("#theme")
    assert browser.run("document.querySelector('#theme').textContent") == "Dark"
    dark = browser.run(ground)
    assert dark != light
    browser.click("#zone")
    browser.until("document.querySelector('tbody time')?.title.endsWith('UTC')", "times in UTC")
    browser.open(cluster.room.url + "/nodes")
    assert browser.run(ground) == dark
    assert browser.run("document.querySelector('#zone').textContent") == "UTC"
    quiet(browser)


@pytest.mark.timeout(120)
def test_files_are_kept_by_browsers_and_their_sums_are_right(supervisor, redis_url):
    room = supervisor(redis_url, "--store", "memory:")
    page = room.get("/")[1]
    paths = set(re.findall(r"/assets/[0-9a-f]{16}/[a-z.-]+", page))
    assert len(paths) >= 5, page
    for path in paths:
        with urllib.request.urlopen(room.url + path, timeout=5) as answer:
            assert "immutable" in answer.headers["cache-control"], path
            tag = answer.headers["etag"]
        request = urllib.request.Request(room.url + path, headers={"If-None-Match": tag})
        with pytest.raises(urllib.error.HTTPError) as unchanged:
            urllib.request.urlopen(request, timeout=5)
        assert unchanged.value.code == 304
    with urllib.request.urlopen(f"{room.url}/assets/another/control-room.css", timeout=5) as answer:
        assert answer.headers["cache-control"] == "no-store"
    listed = re.findall(r"^\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|$", (ASSETS / "README.md").read_text(), re.M)
    assert len(listed) == 2
    for name, digest in listed:
        assert hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.timeout(120)
def test_errors_are_pages_for_browsers_and_problems_for_programs(supervisor, redis_url):
    room = supervisor(redis_url, "--store", "memory:")

    def ask(path, accept, **options):
        request = urllib.request.Request(room.url + path, headers={"Accept": accept}, **options)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    for path in ("/nowhere", "/tasks/none", "/nodes/none", "/schedules/none", "/dead-letters/none"):
        status, headers, text = ask(path, "text/html")
        assert (status, headers.get_content_type()) == (404, "text/html"), path
        assert "<h1>Not found</h1>" in text
        assert "default-src 'none'" in headers["content-security-policy"]
        status, headers, text = ask(path, "*/*")
        assert (status, headers.get_content_type()) == (404, "application/problem+json"), path
    status, headers, text = ask("/queues/none/purge", "text/html", data=b"confirm=other", method="POST")
    assert status in (400, 404) and "<h1>" in text
    status, _, text = ask("/tasks?since=soon", "text/html")
    assert status == 200 and "since: expected a moment" in text
