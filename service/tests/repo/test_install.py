"""`make package-test`: the wheel in an empty environment, and used: the SDK alone, the service, and
all of it. What is installed beside it are the versions that the locks name."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import livetally
from livetally.schema.keys import Role
from service.tests.support.paths import ROOT
from service.tests.support.process import Process, free_port

pytestmark = [pytest.mark.package, pytest.mark.timeout(600)]


_SYSTEM = [Path(each) for each in os.defpath.split(":") if each and Path(each).is_dir()]


class Environment:
    """A virtual environment with nothing in it, and a folder that is no checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "elsewhere"
        self.folder.mkdir()
        self.bin = folder / "venv" / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.bin.parent], check=True)
        lock = (ROOT / "service/requirements-local.txt").read_text("utf-8")
        self._versions = folder / "versions.txt"
        self._versions.write_text("\n".join(re.findall(r"^[a-z0-9.-]+==[^ \n]+", lock, re.M)))

        self._programs = folder / "bin"
        self._programs.mkdir()
        for program in [each for place in _SYSTEM for each in place.iterdir()]:
            if not program.name.startswith(("node", "npm", "npx", "redis", "psql")):
                with contextlib.suppress(FileExistsError):
                    (self._programs / program.name).symlink_to(program)

    def install(self, extra: str = "") -> None:
        (wheel,) = (ROOT / "dist").glob("*.whl")
        options = ("-qq", "--no-compile", "-c", str(self._versions))
        self._pip("install", *options, f"{wheel}{extra}")

    def packages(self) -> set[str]:
        listed = json.loads(self._pip("list", "--format", "json"))
        return {each["name"].lower() for each in listed}

    def _pip(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def environ(self, **settings: str) -> dict[str, str]:
        """Neither this checkout nor Node is to be found."""
        path = f"{self.bin}:{self._programs}"
        assert shutil.which("sh", path=path)
        assert not shutil.which("node", path=path)
        return {"PATH": path, "HOME": str(self.folder), **settings}

    def run(self, *command: str, status: int = 0, **settings: str) -> str:
        """What a program of this environment says, on stderr where it can't do it."""
        ran = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=self.folder,
            env=self.environ(**settings),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == status, ran.stdout + ran.stderr
        return ran.stdout if status == 0 else ran.stderr

    @contextlib.contextmanager
    def running(self, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
        with (self.folder / "log").open("w") as log:
            process = subprocess.Popen(
                [str(self.bin / "livetally"), *arguments],
                cwd=self.folder,
                env=self.environ(**settings),
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0, (self.folder / "log").read_text()


def get(url: str, process: subprocess.Popen[str]) -> str:
    """What a browser is answered, once the process does."""
    request = urllib.request.Request(url, headers={"Accept": "text/html,*/*"})  # noqa: S310
    deadline = time.monotonic() + 100
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                return str(response.read().decode())
        except urllib.error.URLError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("package"))


def test_the_sdk_alone(
    environment: Environment, spawn: Callable[..., Process], demo_keys: dict[Role, str]
) -> None:
    """`pip install livetally` talks to a server, and says what a server itself would need."""
    environment.install()
    assert not environment.packages() & {"psycopg", "redis", "uvloop", "aiobotocore", "psutil"}
    version = environment.run("livetally", "--version")
    assert version == f"livetally {livetally.__version__}\n"
    where = {"LIVETALLY_URL": spawn().wait_ready().url, "LIVETALLY_KEY": demo_keys[Role.READ_WRITE]}
    sent = environment.run("livetally", "send", "click", "red", **where)
    assert json.loads(sent)["accepted"] == 1
    counts = environment.run("livetally", "stats", "click", "--json", **where)
    assert json.loads(counts)["total"] == 1
    program = """
from livetally.client import Client
with Client() as client:
    client.track("click", "blue")
    client.flush()
    print(client.totals("click").total)
"""
    assert environment.run("python", "-c", program, **where) == "2\n"
    for command in ("serve", "migrate", "demo"):
        said = environment.run("livetally", command, status=2)
        assert re.fullmatch(rf"livetally: `livetally {command}` needs .*: pip install .*\n", said)


def test_the_service(environment: Environment, database_url: str, redis_url: str) -> None:
    """`livetally[server]` migrates, serves its pages and documents, and is well."""
    environment.install("[server]")
    where = {
        "LIVETALLY_DATABASE_URL": database_url,
        "LIVETALLY_REDIS_URL": redis_url,
        "LIVETALLY_PORT": str(free_port()),
    }
    environment.run("livetally", "migrate", **where)
    with environment.running("serve", **where) as process:
        url = f"http://127.0.0.1:{where['LIVETALLY_PORT']}"
        assert "ready" in get(f"{url}/readyz", process)
        environment.run("livetally", "health", **where)
    assert "livetally[local]" in environment.run("livetally", "demo", status=2)


def test_all_of_it(environment: Environment) -> None:
    """`livetally[local]`, then `livetally demo` in an empty folder: the pages, the SDK, the docs,
    and an event that counts, without Node and without a checkout."""
    environment.install("[local]")
    port = free_port()
    with environment.running("demo", "--port", str(port)) as process:
        url = f"http://127.0.0.1:{port}"
        assert "<title>Livetally" in get(url, process)
        assert "livetally" in get(f"{url}/js/livetally.js", process)
        assert "<title>" in get(f"{url}/docs", process)
        shell = """. .livetally/env
            livetally send click red
            psql "$LIVETALLY_DATABASE_URL" -At -c "SELECT count(*) FROM events"
        """
        said = subprocess.run(
            ["sh", "-ec", shell],
            cwd=environment.folder,
            env=environment.environ(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout.splitlines()[-1] == "1"
