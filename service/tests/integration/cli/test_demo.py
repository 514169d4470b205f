"""`livetally demo`: everything on one machine, started, stopped, killed and started again."""

import contextlib
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from livetally.schema.keys import Role
from service.tests.support.process import free_port

#: PYTHONPATH: the code that is tested may not be the one that is installed.
_INHERITED = ("PATH", "HOME", "PYTHONPATH")


class Demo:
    """A `livetally demo` in a directory of its own."""

    def __init__(
        self, home: Path, *arguments: str, port: int | None = None, **settings: str
    ) -> None:
        self.home = home
        self.data_dir = home / ".livetally"
        self.port = port or free_port()
        self._log = home / "demo.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "livetally", "demo", "--port", str(self.port), *arguments],
                cwd=home,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ}
                | settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    @property
    def file(self) -> dict[str, str]:
        made: dict[str, str] = json.loads((self.data_dir / "demo.json").read_text())
        return made

    def until_ready(self) -> "Demo":
        wait_for(lambda: "Livetally is running at" in self.output or self.ended)
        assert not self.ended, self.output
        return self

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def servers(self) -> set[psutil.Process]:
        """Postgres, Redis and their children, whoever their parent may be by now."""
        found = set()
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error):
                if process.info["name"] not in ("postgres", "redis-server"):
                    continue
                try:
                    place = process.cwd()
                except psutil.AccessDenied:
                    place = " ".join(process.cmdline())
                if str(self.data_dir) in place:
                    found |= {process, *process.children(recursive=True)}
        return found

    def call(self, key: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(  # noqa: S310
            self.file["url"] + path,
            headers={"x-api-key": self.file[key], "content-type": "application/json"},
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def count(self, *ids: str) -> int:
        """Send events; how many of them were new."""
        events = [{"id": id, "type": "click", "subject": "red"} for id in ids]
        status, answer = self.call("write_key", "/v1/events", events)
        assert status == 200
        return int(answer["accepted"])

    def total(self) -> int:
        return int(self.call("read_key", "/v1/stats?type=click&subject=red")[1]["total"])


def wait_for(true: Callable[[], Any], within_s: float = 100) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """demo() starts one in the test's directory; nothing of it outlives the test."""
    started: list[Demo] = []

    def start(*arguments: str, **options: Any) -> Demo:
        home = tmp_path / options.pop("home", "home")
        home.mkdir(exist_ok=True)
        started.append(Demo(home, *arguments, **options))
        return started[-1]

    yield start
    for one in started:
        if not one.ended:
            one.process.kill()
            one.process.wait()
    for one in started:
        for server in one.servers():
            with contextlib.suppress(psutil.NoSuchProcess):
                server.kill()


def test_start_use_stop_and_start_again(demo: Callable[..., Demo]) -> None:
    """It writes demo.json for its owner only, with keys that work; Ctrl-C ends all that it started
    and keeps the data; the next start has the same keys and counts."""
    first = demo().until_ready()
    path = first.data_dir / "demo.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((first.data_dir / "env").stat().st_mode) == 0o600
    made = first.file
    assert made.keys() == {f"{role}_key" for role in Role} | {"url", "project"}
    assert (made["url"], made["project"]) == (f"http://127.0.0.1:{first.port}", "demo")
    assert first.count("a", "b") == 2
    assert first.total() == 2
    assert f"{made['url']}/examples" in first.output
    with urllib.request.urlopen(made["url"] + "/examples", timeout=30) as examples:  # noqa: S310
        assert made["read_write_key"] in examples.read().decode()
    assert first.call("admin_key", "/v1/stats?type=click")[1]["total"] == 2
    assert first.call("read_key", "/v1/events", {"type": "click", "subject": "x"})[0] == 403
    assert first.call("write_key", "/v1/stats?type=click")[0] == 403

    servers = first.servers()
    assert {server.name() for server in servers} >= {"postgres", "redis-server"}
    family = psutil.Process(first.process.pid).children(recursive=True)
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(60) == 0, first.output
    assert not any(alive(process) for process in [*servers, *family])
    assert first.servers() == set()
    assert "Traceback" not in first.output

    second = demo(port=first.port).until_ready()
    assert second.file == made
    assert second.count("a", "b", "c") == 1
    assert second.total() == 3


def test_a_shell_for_readme_examples(demo: Callable[..., Demo], tmp_path: Path) -> None:
    """What `.livetally/env` gives to a shell with a bare PATH: psql, `livetally`, the page's wscat,
    and the keys."""
    wscat = tmp_path / "home" / "frontend" / "node_modules" / ".bin" / "wscat"
    wscat.parent.mkdir(parents=True)
    wscat.touch(0o755)
    one = demo(LIVETALLY_PAGES_DIR=str(wscat.parents[2] / "dist")).until_ready()
    assert one.count("a", "b") == 2
    script = """
        . .livetally/env
        psql "$LIVETALLY_DATABASE_URL" -At -c "SELECT count(*) FROM events"
        livetally keys create --project shop --role read --name web >key
        livetally keys list --project shop
        command -v wscat
        echo "$WRITE_KEY $READ_KEY $READ_WRITE_KEY $ADMIN_KEY"
    """
    answer = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=one.home,
        env={
            "PATH": os.defpath,
            "HOME": str(one.home),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    keys = " ".join(one.file[f"{role}_key"] for role in Role)
    assert answer.stdout.splitlines() == ["2", "shop\tweb\tread\tlive", str(wscat), keys]


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("also", [False, True], ids=["alone", "with its servers"])
def test_kill_9_and_start_again(also: bool, demo: Callable[..., Demo]) -> None:
    """Killed hard, alone or together with Postgres and Redis, it starts again, with the same keys,
    and everything it acknowledged is there."""
    first = demo().until_ready()
    made = first.file
    ids = [f"{n}" for n in range(50)]
    assert first.count(*ids) == 50
    first.process.kill()
    first.process.wait()
    left = first.servers()
    assert left, "kill -9 leaves the servers behind"
    if also:
        for server in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                server.kill()

    second = demo(port=first.port).until_ready()
    assert second.file == made
    assert second.total() == 50
    assert second.count(*ids, "new") == 1
    assert not any(alive(process) for process in left)
    second.process.send_signal(signal.SIGINT)
    assert second.process.wait(60) == 0
    assert second.servers() == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_it_starts(number: signal.Signals, demo: Callable[..., Demo]) -> None:
    """Ctrl-C before it is ready leaves nothing running, and a state from which it starts."""
    first = demo()
    wait_for(first.servers)
    first.process.send_signal(number)
    assert first.process.wait(60) == 130
    assert first.servers() == set()
    assert "Traceback" not in first.output
    second = demo().until_ready()
    assert second.count("a") == 1


def test_a_second_demo_on_the_same_data(demo: Callable[..., Demo]) -> None:
    """It is refused in one clear line, and the first one goes on undisturbed."""
    first = demo().until_ready()
    servers = first.servers()
    second = demo("--data-dir", str(first.data_dir), home="elsewhere")
    assert second.process.wait(60) == 2
    assert second.output == f"livetally: it is running already with the data in {first.data_dir}.\n"
    assert all(alive(server) for server in servers if server.name() == "redis-server")
    assert first.count("a") == 1


def test_a_port_in_use(demo: Callable[..., Demo]) -> None:
    """It is said in one clear line, before anything is started."""
    first = demo().until_ready()
    second = demo(port=first.port, home="elsewhere")
    assert second.process.wait(60) == 2
    assert second.output == (
        f"livetally: Port {first.port} of 127.0.0.1 is in use: choose another one.\n"
    )
    assert not (second.data_dir / "postgres").exists()
    assert not (second.data_dir / "redis").exists()


def test_with_an_aws_of_its_own(demo: Callable[..., Demo], monkeypatch: pytest.MonkeyPatch) -> None:
    """`make run-aws`: a message and an object are counted by a worker that starts and ends with the
    rest, and the shell's variables lead to them."""
    started = demo("--aws").until_ready()
    lines = (started.data_dir / "env").read_text().splitlines()
    exports = [shlex.split(line.removeprefix("export "))[0] for line in lines]
    variables = dict(each.split("=", 1) for each in exports)
    for name in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, variables[name])
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, variables[name])
    event = json.dumps({"type": "click", "subject": "red"})
    queue_url = variables["LIVETALLY_QUEUE_URL"]
    boto3.client("sqs").send_message(QueueUrl=queue_url, MessageBody=event)
    body = f"{event}\n{event}\n".encode()
    boto3.client("s3").put_object(Bucket="livetally", Key="inbox/a", Body=body)
    wait_for(lambda: started.total() == 3)
    children = psutil.Process(started.process.pid).children(recursive=True)
    started.process.terminate()
    assert started.process.wait(60) == 0
    wait_for(lambda: not any(alive(child) for child in children))
