"""The local servers: what `make run` promises about starts, stops and hard kills. All real."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from livetally.dev.servers import PORTS, LocalPostgres, LocalRedis, LocalServerError

# Starts both servers, says so, and waits to be killed.
OWNER = """
import sys
from pathlib import Path
from livetally.dev.servers import LocalPostgres, LocalRedis
home = Path(sys.argv[1])
servers = LocalPostgres(home / "postgres"), LocalRedis(home / "redis")
for server in servers:
    server.start()
print("started", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A directory for servers; whatever a failed test left running there is killed."""
    yield tmp_path
    for pid in pids_in(tmp_path):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def postgres(home: Path) -> Iterator[LocalPostgres]:
    with LocalPostgres(home / "postgres") as server:
        yield server


@pytest.fixture
def cache(home: Path) -> Iterator[LocalRedis]:
    with LocalRedis(home / "redis") as server:
        yield server


@pytest.fixture
def start_owner(home: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    owners: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", OWNER, str(home)]
        owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        owners.append(owner)
        return owner

    yield start
    for owner in owners:
        owner.kill()
        owner.communicate()


def owners_in(directory: Path) -> dict[int, int]:
    """The live processes that work somewhere beneath a directory: the user id of each pid."""
    found = {}
    for process in psutil.process_iter():
        try:  # a process of Postgres's may end between any two questions about it
            if Path(process.cwd()).is_relative_to(directory):
                found[process.pid] = process.uids().real
        except psutil.Error:
            continue
    return found


def pids_in(directory: Path) -> set[int]:
    return set(owners_in(directory))


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def query(
    server: LocalPostgres, text: str, database: str = "livetally"
) -> list[tuple[object, ...]]:
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        cursor = connection.execute(text)
        return cursor.fetchall() if cursor.description else []


def ping(server: LocalRedis) -> bool:
    with redis.Redis.from_url(server.url) as client:
        return bool(client.ping())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_first_start_gives_a_durable_database(postgres: LocalPostgres) -> None:
    settings = {name: query(postgres, f"SHOW {name}") for name in ("fsync", "synchronous_commit")}
    assert settings == {"fsync": [("on",)], "synchronous_commit": [("on",)]}
    assert query(postgres, "SHOW server_version_num")[0][0].startswith("16")
    assert query(postgres, "SELECT current_database()") == [("livetally",)]


def test_another_user_of_the_machine_gets_in_nowhere(
    postgres: LocalPostgres, cache: LocalRedis
) -> None:
    for file in ("postgres.password", "postgres.log"):
        assert mode(postgres.data_dir / file) == 0o600
    for file in ("redis.password", "redis.conf", "redis.log"):
        assert mode(cache.data_dir / file) == 0o600
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres.dsn().replace(postgres.password, "guess"))
    with (
        redis.Redis(port=cache.port, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.exceptions.AuthenticationError),
    ):
        stranger.ping()
    listening = {
        connection.laddr.ip
        for pid in pids_in(postgres.data_dir) | pids_in(cache.data_dir)
        for connection in psutil.Process(pid).net_connections("all")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    for pid in pids_in(postgres.data_dir) | pids_in(cache.data_dir):
        arguments = " ".join(psutil.Process(pid).cmdline())
        assert postgres.password not in arguments
        assert cache.password not in arguments


def test_restart_keeps_data_and_ports(home: Path) -> None:
    with LocalPostgres(home / "postgres") as first, LocalRedis(home / "redis") as cache:
        query(first, "CREATE TABLE kept AS SELECT 7 AS n")
        ports = first.port, cache.port
    with LocalPostgres(home / "postgres") as second, LocalRedis(home / "redis") as cache:
        assert query(second, "SELECT n FROM kept") == [(7,)]
        assert (second.port, cache.port) == ports
        assert all(port in PORTS for port in ports)
        assert ping(cache)


def test_stop_leaves_no_process(home: Path, postgres: LocalPostgres, cache: LocalRedis) -> None:
    with closing(psycopg.connect(postgres.dsn())):  # an open session doesn't hold it up
        assert len(pids_in(home)) > 2
        postgres.stop()
        cache.stop()
    assert pids_in(home) == set()
    assert "database system is shut down" in (postgres.data_dir / "postgres.log").read_text()


def test_stop_twice_and_before_any_start_is_harmless(home: Path) -> None:
    server = LocalRedis(home / "redis")
    server.stop()
    server.start()
    server.stop()
    server.stop()
    assert pids_in(home) == set()


def test_kill_leaves_no_process_and_start_recovers_what_was_committed(
    home: Path, postgres: LocalPostgres, cache: LocalRedis
) -> None:
    query(postgres, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    port = postgres.port
    with closing(psycopg.connect(postgres.dsn())) as connection:
        connection.execute("INSERT INTO kept VALUES (0)")  # never committed
        postgres.kill()
        cache.kill()
    assert pids_in(home) == set()
    postgres.start()
    cache.start()
    assert query(postgres, "SELECT count(*), min(n) FROM kept") == [(1000, 1)]
    assert postgres.port == port
    assert "redo done" in (postgres.data_dir / "postgres.log").read_text()
    assert ping(cache)


def test_servers_whose_owner_was_killed_are_taken_over(
    home: Path, start_owner: Callable[[], subprocess.Popen[str]]
) -> None:
    owner = start_owner()
    assert owner.stdout
    assert owner.stdout.readline() == "started\n"
    owner.kill()
    owner.wait()
    orphans = pids_in(home)
    assert len(orphans) > 2
    query(LocalPostgres(home / "postgres"), "CREATE TABLE kept AS SELECT 7 AS n")
    with LocalPostgres(home / "postgres") as postgres, LocalRedis(home / "redis") as cache:
        assert query(postgres, "SELECT n FROM kept") == [(7,)]
        assert ping(cache)
        assert not orphans & pids_in(home)


def test_a_backend_that_outlives_its_postmaster_is_ended(
    home: Path, postgres: LocalPostgres
) -> None:
    connection = psycopg.connect(postgres.dsn())
    backend = connection.info.backend_pid
    connection.pgconn.send_query(b"DO 'BEGIN LOOP END LOOP; END'")
    until(lambda: psutil.Process(backend).cpu_times().user > 0.05)
    postmaster = psutil.Process(backend).parent()
    assert postmaster
    postmaster.send_signal(signal.SIGKILL)
    with LocalPostgres(home / "postgres") as second:
        assert query(second, "SELECT 1") == [(1,)]
        assert backend not in pids_in(home)
    connection.close()


def test_a_stale_pid_file_that_names_another_process_is_no_reason_to_signal_it(home: Path) -> None:
    with LocalPostgres(home / "postgres") as postgres:
        lines = (home / "postgres/cluster/postmaster.pid").read_text().splitlines()
        postgres.kill()
    # Even if it is called postgres: it works elsewhere.
    shutil.copy(shutil.which("sleep") or "", home / "postgres.sleep")
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "postgres").symlink_to(home / "postgres.sleep")
    for command in (["sleep", "600"], [str(elsewhere / "postgres"), "600"]):
        with subprocess.Popen(command, cwd=elsewhere) as stranger:
            try:
                stale = "\n".join([str(stranger.pid), *lines[1:]])
                (home / "postgres/cluster/postmaster.pid").write_text(stale + "\n")
                with LocalPostgres(home / "postgres") as postgres:
                    assert query(postgres, "SELECT 1") == [(1,)]
                    postgres.kill()
                assert stranger.poll() is None
            finally:
                stranger.kill()


def test_it_runs_beneath_a_private_directory_with_a_space_in_its_name(home: Path) -> None:
    private = home / "only mine"
    private.mkdir(mode=0o700)
    with LocalPostgres(private / "postgres") as postgres, LocalRedis(private / "redis") as cache:
        assert query(postgres, "SELECT 1") == [(1,)]
        assert ping(cache)
    assert mode(private) == 0o700


def test_a_first_start_that_was_killed_halfway_is_begun_again(
    home: Path, start_owner: Callable[[], subprocess.Popen[str]]
) -> None:
    draft = home / "postgres" / "cluster.new"
    owner = start_owner()
    until(lambda: (draft / "global").exists())
    owner.kill()
    owner.wait()
    assert draft.exists()
    with LocalPostgres(home / "postgres") as postgres:
        assert query(postgres, "SELECT 1") == [(1,)]
    assert not draft.exists()


def test_ctrl_c_during_the_first_start_leaves_no_process(
    home: Path, start_owner: Callable[[], subprocess.Popen[str]]
) -> None:
    owner = start_owner()
    until(lambda: (home / "postgres" / "cluster.new" / "global").exists())
    owner.send_signal(signal.SIGINT)
    assert owner.wait() != 0
    assert pids_in(home) == set()


@pytest.mark.parametrize("kind", [LocalPostgres, LocalRedis])
def test_a_port_that_was_taken_meanwhile(
    home: Path, kind: type[LocalPostgres | LocalRedis]
) -> None:
    with kind(home / "server") as server:
        port = server.port
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(LocalServerError, match=f"port {port} .* is taken"):
            kind(home / "server", port=port).start()
        with kind(home / "server") as server:
            assert server.port != port


def test_a_server_that_cannot_start_says_why(home: Path) -> None:
    with pytest.raises(LocalServerError, match="no_such_setting"):
        LocalPostgres(home / "postgres", settings={"no_such_setting": "1"}).start()
    with pytest.raises(LocalServerError, match="no-such-setting"):
        LocalRedis(home / "redis", settings={"no-such-setting": "1"}).start()
    assert pids_in(home) == set()


def test_settings_reach_the_servers(home: Path) -> None:
    with LocalPostgres(home / "postgres", settings={"max_connections": "17"}) as postgres:
        assert query(postgres, "SHOW max_connections") == [("17",)]
    with (
        LocalRedis(home / "redis", settings={"maxclients": "17"}) as cache,
        redis.Redis.from_url(cache.url) as client,
    ):
        assert client.config_get("maxclients") == {"maxclients": "17"}


def test_databases_are_copied_from_a_template_and_dropped_while_in_use(
    postgres: LocalPostgres,
) -> None:
    postgres.create_database("template")
    query(postgres, "CREATE TABLE kept AS SELECT 7 AS n", "template")
    postgres.create_database('a "copy"', template="template")
    dsn = psycopg.conninfo.make_conninfo(postgres.dsn("postgres"), dbname='a "copy"')
    with closing(psycopg.connect(dsn)) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]
        postgres.drop_database('a "copy"')
        postgres.drop_database('a "copy"')
    assert query(postgres, "SELECT count(*) FROM pg_database WHERE datname ~ 'copy'") == [(0,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs somebody else to run Postgres")
def test_root_without_namespaces_lets_nobody_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no unshare
    with tempfile.TemporaryDirectory() as name:
        private = Path(name)
        with pytest.raises(LocalServerError, match=f"can't enter ({private}|/root)"):
            LocalPostgres(private / "postgres").start()
    with tempfile.TemporaryDirectory() as name:
        public = Path(name)
        public.chmod(0o755)
        postgres = LocalPostgres(public / "postgres")
        try:
            postgres.start()
        except LocalServerError as error:
            if str(public) in str(error) or "can't enter" not in str(error):
                raise
            pytest.skip(f"this checkout is in a private place: {error}")
        query(postgres, "CREATE TABLE kept AS SELECT 7 AS n")
        owners = owners_in(public).values()
        assert owners
        assert 0 not in owners
        postgres.kill()
        assert pids_in(public) == set()
        with postgres:  # and again later, namespaces or not
            assert query(postgres, "SELECT n FROM kept") == [(7,)]
        monkeypatch.undo()
        with LocalPostgres(public / "postgres") as postgres:
            assert query(postgres, "SELECT n FROM kept") == [(7,)]
