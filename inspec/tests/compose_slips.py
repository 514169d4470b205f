"""By control of inspec/compose, one slip that it must find, and no other control may.

In the compose file (FILE), in the proxy's configuration (PROXY), or in what runs (LIVE).
"""

import copy
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from inspec.tests.profiles import PROJECT, ROOT

Made = AbstractContextManager[None]
COMPOSE = ("docker", "compose", "--file", "docker-compose.yml")

#: Somebody's own image.
TRIED_OUT = "nginx:tried-out"

#: What is merged into docker-compose.yml.
FILE: dict[str, dict[str, Any]] = {
    "livetally-container-02": {"migrate": {"command": ["nonsense"]}},
    "livetally-container-03": {"proxy": {"image": TRIED_OUT}},
    "livetally-container-04": {"aws-setup": {"user": "0:0"}},
    "livetally-container-05": {"proxy": {"read_only": False}},
    "livetally-container-06": {"proxy": {"cap_add": ["NET_RAW"]}},
    "livetally-container-07": {"proxy": {"security_opt": ["seccomp=unconfined"]}},
    "livetally-container-08": {"proxy": {"deploy": {"resources": {"limits": {"pids": 5000}}}}},
    "livetally-container-09": {"proxy": {"ports": ["0.0.0.0::8080"]}},
    "livetally-container-10": {"proxy": {"networks": ["observe"]}},
    "livetally-container-12": {"proxy": {"volumes": ["/media:/host"]}},
    "livetally-container-13": {"proxy": {"restart": "no"}},
    "livetally-container-14": {"proxy": {"environment": {"ADMIN_PASSWORD": "hunter2"}}},
    "livetally-postgres-07": {"postgres": {"volumes": ["spare:/spare"]}},
}

#: What is other in nginx.conf.
PROXY: dict[str, tuple[str, str]] = {
    "livetally-http-01": (
        "location = /-/proxy {",
        "location = /readyz { return 503; }\n        location = /-/proxy {",
    ),
    "livetally-http-02": (
        "proxy_buffering off;",
        "proxy_buffering off;\n        proxy_hide_header Content-Security-Policy;",
    ),
    "livetally-http-03": (
        "proxy_http_version 1.1;",
        "proxy_http_version 1.1;\n        proxy_hide_header X-Content-Type-Options;",
    ),
    "livetally-http-04": ("server_tokens off;", "server_tokens on;"),
    "livetally-http-05": (
        "location = /metrics {\n            return 404;",
        "location = /metrics {\n            proxy_pass $service;",
    ),
    "livetally-http-06": (
        "proxy_pass_header Server;",
        "proxy_pass_header Server;\n        proxy_set_header X-Api-Key READ_KEY;",
    ),
}


def run(*command: str) -> str:
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout.strip()


def inside(service: str, script: str) -> str:
    return run("docker", "exec", f"{PROJECT}-{service}-1", "sh", "-euc", script)


def up(names: set[str], *files: str) -> None:
    """Make containers again, as the compose file and these say; all others stay."""
    once = names & {"migrate", "aws-setup"}
    options = [part for file in files for part in ("--file", file)]
    for some, wait in ((names - once, ["--wait"]), (once, [])):
        if some:
            run(*COMPOSE, *options, "up", "--detach", "--no-deps", *wait, *sorted(some))
    for name in once:
        run("docker", "wait", f"{PROJECT}-{name}-1")


@contextmanager
def configured(names: list[str], directory: Path) -> Iterator[None]:
    """All slips of these controls that are in files."""
    services: dict[str, Any] = {}
    for name in names:
        for service, change in FILE.get(name, {}).items():
            services.setdefault(service, {}).update(copy.deepcopy(change))
    if wrong := [PROXY[name] for name in names if name in PROXY]:
        conf = (ROOT / "service" / "deploy" / "nginx.conf").read_text("utf-8")
        for was, becomes in wrong:
            assert conf.count(was) == 1, was
            conf = conf.replace(was, becomes)
        if "READ_KEY" in conf:
            conf = conf.replace("READ_KEY", read_key())
        file = directory / "nginx.conf"
        file.write_text(conf)
        volumes = services.setdefault("proxy", {}).setdefault("volumes", [])
        volumes.append(f"{file}:/etc/livetally/nginx.conf:ro")
    if not services:
        yield
        return
    override = directory / "slips.yml"
    spare = {"spare": {}} if "livetally-postgres-07" in names else {}
    override.write_text(json.dumps({"services": services, "volumes": spare}))
    run("docker", "tag", "nginx:1-bookworm", TRIED_OUT)
    up(set(services), str(override))
    try:
        yield
    finally:
        up(set(services))
        run("docker", "rmi", TRIED_OUT)
        for volume in spare:
            run("docker", "volume", "rm", f"{PROJECT}_{volume}")


def read_key() -> str:
    made = ("livetally", "keys", "create", "--project", "slips", "--role", "read", "--name", "slip")
    return run(*COMPOSE, "exec", "-T", "service", *made)


@contextmanager
def between(do: Callable[[], object], undo: Callable[[], object]) -> Iterator[None]:
    do()
    try:
        yield
    finally:
        undo()


def sql(wrong: str, right: str) -> Callable[[], Made]:
    """A statement of the owner's, and later the one that mends it."""

    def ask(statement: str) -> Callable[[], str]:
        psql = "psql -XAtq -v ON_ERROR_STOP=1 -h 127.0.0.1 -U livetally_owner -d livetally"
        script = f"PGPASSWORD=$(cat /run/secrets/owner/password) {psql} <<'SQL'\n{statement}\nSQL"
        return lambda: inside("postgres", script)

    return lambda: between(ask(wrong), ask(right))


def redis(wrong: str, right: str) -> Callable[[], Made]:
    word = "$(sed -n 's/^requirepass //p' /run/secrets/redis/redis.conf)"

    def ask(command: str) -> Callable[[], str]:
        command = command.replace("PASSWORD", word)
        return lambda: inside("redis", f"REDISCLI_AUTH={word} redis-cli {command}")

    return lambda: between(ask(wrong), ask(right))


def on_front(service: str) -> Callable[[], Made]:
    """A container is connected to the proxy's network as well."""
    both = (f"{PROJECT}_front", f"{PROJECT}-{service}-1")
    return lambda: between(
        lambda: run("docker", "network", "connect", *both),
        lambda: run("docker", "network", "disconnect", *both),
    )


def leading_outside() -> Made:
    """The network for metrics is made again, by hand, and not internal."""
    return between(lambda: remake_observe(), lambda: remake_observe("--internal"))


def remake_observe(*options: str) -> None:
    network = f"{PROJECT}_observe"
    (found,) = json.loads(run("docker", "network", "inspect", network))
    labels = [f"--label={name}={value}" for name, value in found["Labels"].items()]
    for container in found["Containers"]:
        run("docker", "network", "disconnect", network, container)
    run("docker", "network", "rm", network)
    run("docker", "network", "create", *options, *labels, network)
    for container in found["Containers"]:
        run("docker", "network", "connect", network, container)


def trusted() -> Made:
    """Whoever comes over the socket needs no password."""
    file = "/var/lib/postgresql/data/pg_hba.conf"
    reload = "kill -HUP $(head -n 1 /var/lib/postgresql/data/postmaster.pid)"
    wrong = f"cp {file} {file}.right; echo 'local all all trust' >>{file}; {reload}"
    return between(
        lambda: inside("postgres", wrong),
        lambda: inside("postgres", f"mv {file}.right {file}; {reload}"),
    )


def setting(name: str, value: str) -> Callable[[], Made]:
    reload = "SELECT pg_reload_conf();"
    return sql(
        f"ALTER SYSTEM SET {name} = {value}; {reload}", f"ALTER SYSTEM RESET {name}; {reload}"
    )


LIVE: dict[str, Callable[[], Made]] = {
    "livetally-container-01": lambda: between(
        lambda: run("docker", "pause", f"{PROJECT}-aws-1"),
        lambda: run("docker", "unpause", f"{PROJECT}-aws-1"),
    ),
    "livetally-container-11": leading_outside,
    "livetally-postgres-01": on_front("postgres"),
    "livetally-postgres-02": trusted,
    "livetally-postgres-03": setting("password_encryption", "'md5'"),
    "livetally-postgres-04": sql(
        "INSERT INTO migrations (number, name) VALUES (0, 'slip');",
        "DELETE FROM migrations WHERE number = 0;",
    ),
    "livetally-postgres-05": sql(
        "ALTER ROLE livetally_service CREATEDB;", "ALTER ROLE livetally_service NOCREATEDB;"
    ),
    "livetally-postgres-06": setting("full_page_writes", "off"),
    "livetally-redis-01": on_front("redis"),
    "livetally-redis-02": redis(
        "acl setuser default nopass", 'acl setuser default resetpass ">PASSWORD"'
    ),
    "livetally-redis-03": redis(
        "config set maxmemory-policy allkeys-lru", "config set maxmemory-policy noeviction"
    ),
    "livetally-redis-04": redis('config set save "3600 1"', 'config set save ""'),
}

SLIPS = {*FILE, *PROXY, *LIVE}
