"""The command `livetally`, run as a program."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from livetally import __version__
from livetally.cli import main
from livetally.dev.servers import LocalPostgres
from livetally.schema.keys import Role
from livetally.web.auth import hash_key
from service.tests.support.postgres import query
from service.tests.support.process import free_port
from service.tests.support.server import serving

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(redis_url: str) -> Run:
    """run("keys", "list", database_url=…, PORT="1") runs the command with these settings only."""

    def run(
        *arguments: str, database_url: str = "postgresql://127.0.0.1:1/x", **settings: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "livetally", *arguments],
            env={
                "PATH": os.environ["PATH"],
                **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
                "LIVETALLY_DATABASE_URL": database_url,
                "LIVETALLY_REDIS_URL": redis_url,
                **{f"LIVETALLY_{name}": value for name, value in settings.items()},
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


COMMANDS = {
    (): {
        *("serve", "worker", "replay", "aws-setup", "migrate", "health", "keys", "demo"),
        *("send", "tail", "put", "stats", "simulate"),
    },
    ("serve",): {"--workers"},
    ("worker",): {"--queue"},
    ("replay",): {"--list", "--show", "--all", "--dry-run", "--limit"},
    ("aws-setup",): {"--queue", "--topic", "--bucket", "--inbox", "--visibility-s", "--receives"},
    ("migrate",): set(),
    ("health",): {"--path", "--timeout"},
    ("keys",): {"create", "list", "revoke"},
    ("keys", "create"): {"--project", "--role", "--name", "--origin", "--key", "--weak"},
    ("keys", "list"): {"--project"},
    ("keys", "revoke"): {"--project", "--name"},
    ("demo",): {"--aws", "--port", "--host", "--data-dir"},
    ("send",): {"--id", "--property", "--skip", "LIVETALLY_KEY", "examples:"},
    ("tail",): {"--subject", "--all", "--position-file", "--json", "LIVETALLY_KEY", "examples:"},
    ("put",): {"VALUE", "--version", "LIVETALLY_KEY", "examples:"},
    ("stats",): {"--top", "--bucket", "--watch", "LIVETALLY_KEY", "examples:"},
    ("simulate",): {"--users", "--rate", "--seconds", "LIVETALLY_KEY", "examples:"},
}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_helps(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """--help tells what a command does, its options, and where settings come from."""
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0
    assert said.startswith("usage: " + " ".join(["livetally", *command]))
    assert "LIVETALLY_*" in said
    assert all(word in said for word in COMMANDS[command])


def test_the_program_says_its_version(run: Run) -> None:
    """`python -m livetally` is the command."""
    assert run("--version").stdout == f"livetally {__version__}\n"


def test_a_key_can_be_brought_along(run: Run, database_url: str) -> None:
    """One that pages hold already is printed as it is; a short one is rejected unless that is
    meant, and one that exists, in any project, with a clear message."""

    def create(name: str, key: str, *more: str) -> subprocess.CompletedProcess[str]:
        about = ("--project", name, "--role", "read_write", "--name", "page")
        return run("keys", "create", *about, "--key", key, *more, database_url=database_url)

    assert create("shop", "a-key-that-pages-hold").stdout == "a-key-that-pages-hold\n"
    again = create("other", "a-key-that-pages-hold")
    assert (again.returncode, again.stdout) == (2, "")
    assert "in use already" in again.stderr
    assert "a-key-that-pages-hold" not in again.stderr
    assert create("short", "0").returncode == 2
    assert create("short", "0", "--weak").stdout == "0\n"


async def test_keys_are_made_listed_and_revoked(
    run: Run, database_url: str, redis_url: str
) -> None:
    """A key that the command printed works in a running service, is listed without its secret,
    and is no longer live once revoked; its name is free again."""

    def keys(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run("keys", *arguments, database_url=database_url)

    about = ("--project", "shop", "--name", "web")
    made = keys("create", *about, "--role", "write", "--origin", "https://shop.example")
    write = made.stdout.strip()
    assert (made.returncode, len(made.stdout.splitlines())) == (0, 1)
    assert write.startswith("lt_write_")
    assert "can't be shown again" in made.stderr
    read = keys("create", "--project", "shop", "--name", "page", "--role", "read").stdout.strip()
    both = keys("create", "--project", "shop", "--name", "old", "--role", "read_write").stdout
    keys("create", "--project", "other", "--name", "web", "--role", "admin")

    async with serving(database_url, redis_url, {Role.WRITE: write, Role.READ: read}) as service:
        event = {"type": "click", "subject": "red"}
        assert (await service.post(event, origin="https://shop.example"))[0] == 200
        assert (await service.post(event, key=both.strip()))[0] == 200
        assert (await service.stats(both.strip(), type="click"))["total"] == 2

    listed = keys("list", "--project", "shop").stdout
    assert [line.split("\t") for line in listed.splitlines()] == [
        ["shop", "web", "write", "live", "https://shop.example"],
        ["shop", "page", "read", "live"],
        ["shop", "old", "read_write", "live"],
    ]
    assert len(keys("list").stdout.splitlines()) == 4
    assert write not in keys("list").stdout

    again = keys("create", *about, "--role", "write")
    assert again.returncode == 2
    assert again.stderr == (
        "livetally: Project 'shop' has a key named 'web' already: revoke it first.\n"
    )
    revoked = keys("revoke", *about)
    assert (revoked.returncode, "every process refuses it" in revoked.stdout) == (0, True)
    live = "SELECT count(*) FROM keys WHERE hash = %s AND revoked_at IS NULL"
    assert query(database_url, live, hash_key(write)) == [(0,)]
    assert "\trevoked " in keys("list", "--project", "shop").stdout
    assert keys("revoke", *about).returncode == 2
    assert keys("create", *about, "--role", "write").returncode == 0


def test_migrating_is_safe_any_time(run: Run, postgres: LocalPostgres) -> None:
    """`migrate` makes an empty database usable, says what it did, and does nothing twice."""
    postgres.create_database("to_migrate")
    url = postgres.dsn("to_migrate")
    try:
        too_early = run("keys", "list", database_url=url)
        assert (too_early.returncode, "`livetally migrate`" in too_early.stderr) == (2, True)

        first, second = (run("migrate", database_url=url) for _ in range(2))

        assert first.stdout.startswith("applied 0001_")
        assert (second.returncode, second.stdout) == (0, "the database is up to date\n")
        assert run("keys", "list", database_url=url).returncode == 0
    finally:
        postgres.drop_database("to_migrate")


def test_what_is_wrong_is_one_line(run: Run, database_url: str) -> None:
    """Whatever can't be done ends with status 2 and one line that says why, no traceback."""
    named = ("--project", "p", "--name", "n")
    for arguments, settings, says in (
        (("migrate",), {}, "connection refused"),
        (("keys", "list"), {}, "connection refused"),
        (("migrate",), {"database_url": "postgresql://[half"}, "ipv6"),
        (("migrate",), {"database_url": "localhost"}, "livetally_database_url: "),
        (("serve",), {"PORT": "many"}, "livetally_port: expected `int`"),
        (("serve",), {"COLOUR": "red"}, "livetally_colour is not a setting"),
        (
            ("serve",),
            {"database_url": database_url, "HOST": "no.such.host.invalid"},
            "livetally: ",
        ),
        (
            ("keys", "create", "--project", "No Good", "--name", "n", "--role", "read"),
            {"database_url": database_url},
            "project 'no good': use 1-63 of a-z",
        ),
        (
            ("keys", "create", *named, "--role", "read", "--origin", "https://x.example"),
            {"database_url": database_url},
            "only write keys can be bound to origins",
        ),
        (
            ("keys", "create", *named, "--role", "write", "--origin", "shop.example"),
            {"database_url": database_url},
            "write it as a browser sends it",
        ),
        (("keys", "revoke", *named), {"database_url": database_url}, "no live key named 'n'"),
    ):
        ended = run(*arguments, **settings)
        assert ended.returncode == 2, (arguments, ended)
        assert ended.stdout == ""
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
        assert ended.stderr.startswith("livetally: "), ended.stderr
        assert says in ended.stderr.lower(), ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["keys"],
        ["keys", "create"],
        ["keys", "create", "--project", "p", "--name", "n", "--role", "owner"],
        ["serve", "--workers", "0"],
        ["serve", "--workers", "many"],
        ["demo", "--port", "many"],
        ["demo", "--port", "70000"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_shows_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A call that can't be understood ends with status 2, the usage, and what is wrong."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.startswith("usage: livetally")
    assert "error: " in said
    assert "invalid" not in said or "choice" in said


def test_a_port_in_use_is_said(run: Run, database_url: str) -> None:
    """Two servers on one port: the second says which port, and ends."""
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        ended = run("serve", database_url=database_url, PORT=str(port))
    assert (ended.returncode, ended.stderr) == (
        2,
        f"livetally: Port {port} of 127.0.0.1 is in use: choose another one.\n",
    )
