"""Settings: read once, refused by name when they are wrong, and documented as they are."""

import re
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from psycopg.conninfo import conninfo_to_dict
from redis.asyncio.connection import parse_url

from livetally.base.config import PREFIX, Config, ConfigError, variables
from service.tests.support.paths import SERVICE_README

REQUIRED = {
    "LIVETALLY_DATABASE_URL": "postgresql://localhost/livetally",
    "LIVETALLY_REDIS_URL": "redis://localhost",
}


def test_defaults_serve_a_laptop() -> None:
    """Where the data is must be said; everything else has a default."""
    config = Config.from_environ({**REQUIRED, "HOME": "/root", "PORT": "1"})
    assert (config.host, config.port, config.frame_interval_ms) == ("127.0.0.1", 8080, 40)
    assert config.database_url == REQUIRED["LIVETALLY_DATABASE_URL"]


def test_every_variable_is_read() -> None:
    """Each variable sets the field that is named like it, as a number where it is one."""
    numbers = {
        "port": 0,
        "batch_max_events": 1,
        "queue_max_events": 1000,
        "commit_timeout_ms": 100,
        "pool_size": 2,
        "key_reads": 1,
        "project_reads": 2,
        "key_read_rate": 3,
        "project_read_rate": 4,
        "frame_interval_ms": 5,
        "resync_interval_ms": 50,
        "viewer_buffer_bytes": 1024,
        "ping_interval_s": 1,
        "drain_s": 0,
        "max_connections": 9,
        "address_rate": 10,
        "public_key_rate": 0,
        "handshake_rate": 5,
        "archive_interval_s": 0,
        "archive_part_events": 1000,
        "minutes_kept_days": 1,
        "hours_kept_days": 3,
        "retention_days": 0,
    }
    texts = {
        "database_url": "postgres://elsewhere",
        "redis_url": "rediss://elsewhere",
        "service_database_url": "postgresql://service@elsewhere/livetally",
        "host": "::1",
        "queue_url": "https://sqs.eu-west-1.amazonaws.com/1/events",
        "dead_letter_queue_url": "http://127.0.0.1:5000/1/dead",
        "queue_project": "shop",
        "archive_url": "s3://bucket/archive",
        "page_write_key": "w",
        "page_read_key": "r",
        "pages_dir": "/pages",
        "log_level": "debug",
        "trusted_proxies": "10.0.0.0/8, ::1",
        "otlp_endpoint": "http://collector:4318",
        "emf_namespace": "Livetally/prod",
        "database_password": "p",
        "service_database_password": "s",
        "redis_password": "r",
    }
    given = {PREFIX + name.upper(): str(value) for name, value in (numbers | texts).items()}
    assert given.keys() == {name for name, _, _ in variables()}
    passed = {
        "database_url": "postgres://:p@elsewhere",
        "service_database_url": "postgresql://service:s@elsewhere/livetally",
        "redis_url": "rediss://:r@elsewhere",
    }
    assert msgspec.structs.asdict(Config.from_environ(given)) == numbers | texts | passed


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@h:5432/d?sslmode=require", "postgresql://u:%s@h:5432/d?sslmode=require"),
        ("postgresql://u:old@h/d", "postgresql://u:%s@h/d"),
        ("postgresql://h1:1,h2:2/d", "postgresql://:%s@h1:1,h2:2/d"),
        ("postgresql:///d?host=/run", "postgresql://:%s@/d?host=/run"),
    ],
)
def test_a_password_may_come_apart(url: str, expected: str) -> None:
    """A secret store hands out the password alone: whatever is in it, libpq reads it back."""
    password = "a/b:c@d?e#f%g ü"
    config = Config.from_environ(
        {**REQUIRED, "LIVETALLY_DATABASE_URL": url, "LIVETALLY_DATABASE_PASSWORD": password}
    )
    assert config.database_url == expected % quote(password, safe="")
    assert conninfo_to_dict(config.database_url)["password"] == password


def test_redis_has_its_password_apart_too() -> None:
    """redis-py finds user and password in the URL that was put together."""
    given = {"LIVETALLY_REDIS_URL": "rediss://u@h:6379/0", "LIVETALLY_REDIS_PASSWORD": "a/b:c@d"}
    found = parse_url(Config.from_environ({**REQUIRED, **given}).redis_url)
    assert (found["username"], found["password"], found["host"]) == ("u", "a/b:c@d", "h")


def _wrong() -> list[tuple[str, str]]:
    """(variable, value) of values that every variable must refuse, by its kind."""
    wrong = []
    for name, default, _ in variables():
        if default.isdecimal():
            wrong += [(name, value) for value in ("", "many", "-1", "1.5", "99999999999")]
        elif name in REQUIRED:
            wrong += [(name, value) for value in ("", "localhost", "http://localhost")]
        elif name.endswith("QUEUE_URL"):
            wrong += [(name, value) for value in ("localhost", "sqs://localhost")]
        elif name.endswith("_URL"):
            wrong += [(name, value) for value in ("http://localhost", "s3:///prefix")]
    wrong += [("LIVETALLY_LOG_LEVEL", "loud"), ("LIVETALLY_LOG_LEVEL", "")]
    return [*wrong, ("LIVETALLY_EMF_NAMESPACE", "two words")]


@pytest.mark.parametrize(("name", "value"), _wrong())
def test_a_bad_value_refuses_to_start_and_is_named(name: str, value: str) -> None:
    """The message begins with the variable, and doesn't repeat what may be a password."""
    with pytest.raises(ConfigError, match=f"^{name}: ") as caught:
        Config.from_environ({**REQUIRED, name: value})
    assert not name.endswith("_URL") or not value or value not in str(caught.value)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_one_is_named(name: str) -> None:
    """What has no default must be given."""
    given = {key: value for key, value in REQUIRED.items() if key != name}
    with pytest.raises(ConfigError, match=f"^{name} is not set$"):
        Config.from_environ(given)


def test_an_unknown_one_is_named() -> None:
    """A misspelt variable would otherwise be a setting that silently does nothing."""
    with pytest.raises(ConfigError, match=r"^LIVETALLY_PROT is not a setting"):
        Config.from_environ({**REQUIRED, "LIVETALLY_PROT": "9000"})


def test_secrets_may_be_in_files(tmp_path: Path) -> None:
    """A URL or key is read from the file that its variable with _FILE names, without the last line
    break; other settings aren't secrets and have no such variable."""
    url, key = tmp_path / "url", tmp_path / "key"
    url.write_text("postgresql://app:secret@db/livetally\n")
    key.write_text("lt_read_x")
    config = Config.from_environ(
        {
            "LIVETALLY_DATABASE_URL_FILE": str(url),
            "LIVETALLY_REDIS_URL": "redis://localhost",
            "LIVETALLY_PAGE_READ_KEY_FILE": str(key),
        }
    )
    assert config.database_url == "postgresql://app:secret@db/livetally"
    assert config.page_read_key == "lt_read_x"
    with pytest.raises(ConfigError, match=r"^LIVETALLY_PORT_FILE is not a setting"):
        Config.from_environ({**REQUIRED, "LIVETALLY_PORT_FILE": str(url)})


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    """No such file, no text in it, not what it should hold, or the value given as well."""
    given = {"LIVETALLY_REDIS_URL": "redis://localhost"}
    file = tmp_path / "url"
    name = "LIVETALLY_DATABASE_URL_FILE"
    with pytest.raises(ConfigError, match=f"^{name} can't be read: No such file or directory$"):
        Config.from_environ({**given, name: str(file)})
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=f"^{name} can't be read: it is not text$"):
        Config.from_environ({**given, name: str(file)})
    file.write_text("a password")
    with pytest.raises(ConfigError, match=r"^LIVETALLY_DATABASE_URL: ") as caught:
        Config.from_environ({**given, name: str(file)})
    assert "a password" not in str(caught.value)
    with pytest.raises(ConfigError, match=f"^LIVETALLY_DATABASE_URL and {name} are both set"):
        Config.from_environ({**REQUIRED, name: str(file)})


def test_settings_can_not_change() -> None:
    """What a process was told at its start holds until its end."""
    config = Config.from_environ(REQUIRED)
    with pytest.raises(AttributeError):
        config.port = 1  # type: ignore[misc]


def test_the_readme_tells_every_setting() -> None:
    """README's table is what the code says: every variable, default and description."""
    text = SERVICE_README.read_text(encoding="utf-8")
    found = re.search(r"<!-- settings -->\n(.*?)<!-- /settings -->", text, re.DOTALL)
    assert found
    expected = ["| variable | default | what |", "|---|---|---|"] + [
        f"| `{name}` | {f'`{default}`' if default else ''} | {what} |"
        for name, default, what in variables()
    ]
    assert found[1].strip().splitlines() == expected, "README should have:\n" + "\n".join(expected)
