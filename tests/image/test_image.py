"""What is in the image, and what it does where nothing is allowed."""

import json
import os
from pathlib import Path

import pytest
from conftest import GRACE, free_address
from containers import podman, run, setting

from processes import eventually

TOKEN = "a-token-for-this-test"
MEBI = 1 << 20


@pytest.fixture(scope="module")
def image():
    return json.loads(podman("image", "inspect", setting("CELERIAC_TEST_IMAGE")).stdout)[0]


@pytest.fixture(scope="module")
def files():
    """The files of the image by their paths."""
    name = setting("CELERIAC_TEST_IMAGE")
    root = Path(podman("image", "mount", name).stdout.strip())
    yield {f"/{path.relative_to(root)}": path for path in root.rglob("*")}
    podman("image", "unmount", name)


def test_it_is_small(image, figure):
    figure(f"image: {image['Size'] / MEBI:.1f} MiB")
    assert image["Size"] < 40_000_000


def test_it_holds_one_program_and_no_shell(files):
    plain = {name for name, path in files.items() if path.is_file()}
    assert plain == {"/celeriac", "/etc/ssl/certs/ca-certificates.crt"}
    assert not any(path.is_symlink() for path in files.values())
    programs = {name for name in plain if os.access(files[name], os.X_OK)}
    assert programs == {"/celeriac"}
    assert run("-c", "true", options=["--entrypoint=/bin/sh"]).returncode == 127


def test_who_owns_what(files):
    own = files["/var/lib/celeriac"].stat()
    assert (own.st_uid, own.st_gid) == (65532, 65532)
    assert files["/tmp"].stat().st_mode & 0o7777 == 0o1777
    others = {name for name, path in files.items() if path.stat().st_uid != 0}
    assert others == {"/var/lib/celeriac"}
    assert not any(path.is_file() and path.stat().st_mode & 0o6022 for path in files.values())


def test_what_it_says_of_itself(image):
    config = image["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/celeriac"]
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert set(config["ExposedPorts"]) == {"9590/tcp", "9595/tcp", "9596/tcp"}
    labels = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in config["Labels"].items()
        if name.startswith("org.opencontainers.image.")
    }
    version = run("--version").stdout.split()[-1]
    assert labels.pop("version") == version
    assert labels.pop("licenses") == "MIT OR Apache-2.0"
    told = {"title", "description", "source", "documentation", "vendor", "revision", "created"}
    assert set(labels) == told and all(labels.values())
    check = podman("image", "inspect", "--format", "{{json .HealthCheck}}", setting("CELERIAC_TEST_IMAGE"))
    assert json.loads(check.stdout)["Test"] == ["CMD", "/celeriac", "probe", "ready"]


def test_no_path_of_the_building_machine_is_in_it(files):
    program = files["/celeriac"].read_bytes()
    root = str(Path(__file__).parents[2])
    home = os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))
    for path in (root, home):
        assert path.encode() not in program, path
    # It has no interpreter to look for: it is static.
    assert b"ld-linux" not in program[:4096]


def test_statuses():
    assert run("--version").returncode == 0
    assert run("check").returncode == 0
    assert run("node", "--no-such-flag").returncode == 64
    refused = run("node", options=["--env=CELERIAC_CONCURRENCY=many"])
    assert refused.returncode in (64, 78)
    assert "concurrency" in refused.stderr.splitlines()[-1]
    # The token is there for a reason.
    refused = run("supervisor", options=["--env=CELERIAC_LISTEN=0.0.0.0:9595", "--env=CELERIAC_STORE=memory:"])
    assert refused.returncode in (64, 78), refused.stderr


def test_a_node_works_and_drains(node, client, figure):
    one = node("-c", "2")
    figure(f"node: ready after {one.until_ready():.2f} s, podman included")
    assert one.exec("/celeriac", "probe", "started").returncode == 0
    assert one.exec("/celeriac", "probe", "live").returncode == 0
    assert one.exec("/celeriac", "probe", "ready").returncode == 0
    figure(f"node: {one.memory() / 1024:.1f} MiB when idle")
    results = [client.send_task("celeriac.add", (n, 1)) for n in range(100)]
    assert [result.get(timeout=20) for result in results] == list(range(1, 101))
    status, took = one.stop(GRACE)
    figure(f"node: stopped after {took:.2f} s, podman included")
    assert status == 0
    assert took < GRACE / 2
    # Nothing was killed: the rest of the grace was not needed.
    assert "killed" not in one.log()


def active(client):
    """What runs anywhere, as each node says."""
    answers = client.control.inspect(timeout=1).active() or {}
    return [task for tasks in answers.values() for task in tasks]


def test_a_running_task_ends_before_the_node_does(node, client):
    one = node()
    one.until_ready()
    slow = client.send_task("celeriac.sleep", (3,))
    eventually(lambda: active(client), "the task to run")
    status, took = one.stop(GRACE)
    assert status == 0 and took < GRACE
    assert slow.get(timeout=5) is not None


def test_a_node_finds_names_without_a_resolver_of_the_system(node, client):
    url = setting("CELERIAC_TEST_AMQP_URL")
    for name, options in (("localhost", []), ("broker.test", ["--add-host=broker.test:127.0.0.1"])):
        broker = url.replace("127.0.0.1", name)
        assert name in broker
        one = node(options=[f"--env=CELERIAC_BROKER={broker}", *options])
        one.until_ready()
        assert client.send_task("celeriac.add", (2, 3)).get(timeout=20) == 5
        assert one.stop(GRACE)[0] == 0


def test_a_probe_of_nobody_fails(node):
    address = free_address()
    assert run("probe", "ready", options=[f"--env=CELERIAC_HTTP={address}"]).returncode != 0


@pytest.mark.parametrize("store", ["volume", "memory:"])
def test_a_supervisor_answers(container, servers, figure, store):
    address = free_address()
    options = [*servers, f"--env=CELERIAC_LISTEN={address}", f"--env=CELERIAC_TOKEN={TOKEN}"]
    if store == "volume":
        # A new volume takes over the owner of the folder below it.
        options.append("--volume=/var/lib/celeriac")
    else:
        options.append(f"--env=CELERIAC_STORE={store}")
    one = container("supervisor", options=options, address=address)
    took = one.until_ready()
    assert one.exec("/celeriac", "probe", "ready").returncode == 0
    assert one.get("/api/v1/nodes")[0] == 401
    assert one.get("/api/v1/nodes", TOKEN)[0] == 200
    figure(f"supervisor, store {store}: ready after {took:.2f} s, {one.memory() / 1024:.1f} MiB when idle")
    status, took = one.stop(GRACE)
    assert status == 0 and took < GRACE / 2


def test_a_supervisor_says_where_it_cannot_write(servers):
    options = [*servers, f"--env=CELERIAC_LISTEN={free_address()}", f"--env=CELERIAC_TOKEN={TOKEN}"]
    refused = run("supervisor", options=options)
    assert refused.returncode not in (0, 139)
    assert "/var/lib/celeriac" in refused.stderr


def test_the_first_process_leaves_no_zombies(node, client):
    """What an isolated task started ends with its process, and is waited for."""
    program = Path(setting("CELERIAC_TEST_BIN_DIR")) / "demo-node"
    # Built for this machine, so it takes the machine's libraries along.
    libraries = [f"--volume={path}:{path}:ro" for path in ("/usr", "/lib", "/lib64") if Path(path).exists()]
    one = node(
        *("-c", "1"),
        options=[*libraries, f"--volume={program}:/demo-node:ro", "--entrypoint=/demo-node", "--memory=512m"],
    )
    one.until_ready()
    for _ in range(3):
        assert client.send_task("isolated.spawn").get(timeout=30) > 0
        running = [name for _, name, _ in one.processes()]
        assert "sleep" in running
        with pytest.raises(Exception, match="signal|ended|lost|Lost"):
            client.send_task("isolated.abort").get(timeout=30)
    eventually(lambda: all(name != "sleep" for _, name, _ in one.processes()), "no process left")
    assert [name for _, name, state in one.processes() if state == "Z"] == []
    assert one.stop(GRACE)[0] == 0
