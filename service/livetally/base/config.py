"""Settings: every LIVETALLY_* variable, read once at start into one frozen object.

The descriptions here are those of service/README.md's table (a test holds the two together).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
from msgspec import Meta

from .client_address import parse_networks

PREFIX = "LIVETALLY_"
#: Of those who ask a running service (`livetally send`, the SDK), and no settings of one.
CLIENTS = frozenset({"LIVETALLY_URL", "LIVETALLY_KEY"})

# Limits of the API. Not settings: clients rely on them.
MAX_BODY_BYTES = 1024 * 1024
MAX_EVENTS = 1_000
MAX_SUBJECTS = 1_000
MAX_SUBSCRIPTIONS = 100


class ConfigError(Exception):
    """A LIVETALLY_* variable is missing, unknown or has a bad value."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a process is told from outside. Build it with `from_environ`."""

    database_url: Annotated[
        str,
        Meta(pattern="^postgres(ql)?://", description="Postgres 16, as a `postgresql://` URL"),
    ]
    redis_url: Annotated[
        str,
        Meta(
            pattern="^(rediss?|unix)://",
            description="Redis 6.2 or newer, as a `redis://` or `rediss://` URL",
        ),
    ]
    database_password: Annotated[
        str, Meta(description="Postgres's password, where it is kept apart from the URL")
    ] = ""
    service_database_url: Annotated[
        str,
        Meta(
            pattern="^(postgres(ql)?://.+)?$",
            description="`livetally migrate` makes the role that this URL names, for the service"
            " to run as: not an owner of anything; empty: makes none",
        ),
    ] = ""
    service_database_password: Annotated[
        str, Meta(description="The password of that role, where it is kept apart from the URL")
    ] = ""
    redis_password: Annotated[
        str, Meta(description="Redis's password, where it is kept apart from the URL")
    ] = ""
    host: Annotated[str, Meta(description="Address to listen on")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    ] = 8080
    batch_max_events: Annotated[
        int, Meta(ge=1, le=20_000, description="A batch this large is committed at once")
    ] = 2_000
    queue_max_events: Annotated[
        int,
        Meta(
            ge=1_000, le=1_000_000, description="More waiting events than this are refused with 503"
        ),
    ] = 20_000
    commit_timeout_ms: Annotated[
        int, Meta(ge=100, le=10_000, description="A commit that takes longer is given up: 503")
    ] = 10_000
    pool_size: Annotated[
        int,
        Meta(
            ge=2,
            le=100,
            description="Postgres connections for what clients read; one more writes, and two are"
            " for keys and health",
        ),
    ] = 8
    key_reads: Annotated[
        int, Meta(ge=1, le=100, description="Reads of a key that a process makes at once")
    ] = 3
    project_reads: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="Reads of a project that a process makes at once, viewers' included;"
            " one connection is always left to the others",
        ),
    ] = 4
    key_read_rate: Annotated[
        int,
        Meta(
            ge=1, le=1_000_000, description="Reads a second of a key, a process: more are refused"
        ),
    ] = 200
    project_read_rate: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Reads a second of all keys of a project, a process: more are refused",
        ),
    ] = 500
    #: At 50 a hundredth of what is committed would reach viewers later than that.
    frame_interval_ms: Annotated[
        int, Meta(ge=5, le=10_000, description="Least time between two frames of a topic")
    ] = 40
    resync_interval_ms: Annotated[
        int,
        Meta(ge=50, le=60_000, description="How often watched totals are compared with Postgres"),
    ] = 500
    viewer_buffer_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=16_777_216,
            description="A viewer with more unsent bytes is skipped until it has drained",
        ),
    ] = 131_072
    ping_interval_s: Annotated[
        int,
        Meta(
            ge=1,
            le=300,
            description="A viewer is pinged this often, and closed after three silent intervals",
        ),
    ] = 20
    max_connections: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="More live connections a process are refused, 503"),
    ] = 20_000
    address_rate: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Requests a second that a client's address may make, of all processes"
            " together; 0: any number",
        ),
    ] = 0
    public_key_rate: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Events a second that a key bound to origins may send if it was given no"
            " rate, a tenth of them from one address; 0: any number",
        ),
    ] = 2_000
    handshake_rate: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Live connections a second that an address may open in a process, and 20"
            " times as many at once; 0: any number",
        ),
    ] = 200
    trusted_proxies: Annotated[
        str,
        Meta(
            description="Networks whose `X-Forwarded-For` is believed, like"
            " `10.0.0.0/8,192.168.1.7`; empty: none"
        ),
    ] = ""
    drain_s: Annotated[
        int, Meta(ge=0, le=25, description="On shutdown viewers are closed spread over this time")
    ] = 5
    queue_url: Annotated[
        str,
        Meta(
            pattern="^(https?://.+)?$",
            description="SQS queue that the worker reads, as its `https://` URL; empty: none",
        ),
    ] = ""
    dead_letter_queue_url: Annotated[
        str,
        Meta(
            pattern="^(https?://.+)?$",
            description="SQS queue that its refused messages end in, for `livetally replay`",
        ),
    ] = ""
    queue_project: Annotated[
        str,
        Meta(
            pattern="^([a-z0-9][a-z0-9_-]{0,62})?$",
            description="Project of messages that come without a key; empty: those are refused",
        ),
    ] = ""
    archive_url: Annotated[
        str,
        Meta(
            pattern="^(s3://[^/]+.*|(file://)?/.*|[^:]*)$",
            description="Where the worker archives events, `s3://bucket/prefix` or a directory;"
            " empty: nowhere",
        ),
    ] = ""
    archive_interval_s: Annotated[
        int,
        Meta(
            ge=0,
            le=86_400,
            description="Events are archived this long after the last ones were, or when"
            " there are enough for a part",
        ),
    ] = 300
    archive_part_events: Annotated[
        int,
        Meta(ge=1_000, le=1_000_000, description="So many events are archived at once, at most"),
    ] = 50_000
    minutes_kept_days: Annotated[
        int, Meta(ge=1, le=3650, description="Older minutes are added up to hours, by the worker")
    ] = 30
    hours_kept_days: Annotated[
        int, Meta(ge=3, le=36_500, description="Older hours are added up to days, by the worker")
    ] = 400
    retention_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36_500,
            description="Older days of the log are dropped by the worker, once archived if there"
            " is an archive; counts stay. 0: none is",
        ),
    ] = 0
    page_write_key: Annotated[
        str, Meta(description="A write key that the page at `/` gives to everybody; empty: it asks")
    ] = ""
    page_read_key: Annotated[
        str, Meta(description="A read key that the page at `/` gives to everybody; empty: it asks")
    ] = ""
    pages_dir: Annotated[
        str, Meta(description="Where the built pages are; empty: those that came with the package")
    ] = ""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level that is logged")
    ] = "info"
    otlp_endpoint: Annotated[
        str,
        Meta(
            pattern="^(https?://.+)?$",
            description="OpenTelemetry collector that traces go to by OTLP/HTTP, like"
            " `http://collector:4318`; empty: nothing is traced",
        ),
    ] = ""
    emf_namespace: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_./#:-]*$",
            description="CloudWatch namespace of the metrics logged on stdout; empty: none are",
        ),
    ] = ""

    def __post_init__(self) -> None:
        try:
            parse_networks(self.trusted_proxies)
        except ValueError as error:
            raise ValueError(f"{error} - at `$.trusted_proxies`") from None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Read the LIVETALLY_* variables. Raises ConfigError naming the variable at fault."""
        given = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in _with_files(environ).items()
            if name not in CLIENTS
        }
        try:
            config = msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigError(_with_variable_name(str(error))) from None
        return msgspec.structs.replace(
            config,
            database_url=_with_password(config.database_url, config.database_password),
            service_database_url=_with_password(
                config.service_database_url, config.service_database_password
            ),
            redis_url=_with_password(config.redis_url, config.redis_password),
        )


def _with_files(environ: Mapping[str, str]) -> dict[str, str]:
    """The LIVETALLY_* variables; those that end in _URL_FILE and _KEY_FILE name files to read."""
    given = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
    for file_name in [name for name in given if name.endswith(("_URL_FILE", "_KEY_FILE"))]:
        name = file_name.removesuffix("_FILE")
        if name in given:
            raise ConfigError(f"{name} and {file_name} are both set: only one can be meant")
        try:
            given[name] = Path(given.pop(file_name)).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigError(f"{file_name} can't be read: {reason}") from None
    for name, value in given.items():
        if not value.isascii() and value.encode(errors="replace").decode() != value:
            raise ConfigError(f"{name} is not UTF-8")
    return given


def variables() -> list[tuple[str, str, str]]:
    """(variable, default, description) of every setting; the default of a required one is ''."""
    rows = []
    for field in msgspec.structs.fields(Config):
        default = "" if field.required else str(field.default)
        description = msgspec.inspect.type_info(field.type)
        rows.append((PREFIX + field.encode_name.upper(), default, _description(description)))
    return rows


def _with_password(url: str, password: str) -> str:
    """The URL with this password, in place of its own if it has one."""
    if not (url and password):
        return url
    parts = urlsplit(url)
    credentials, _, place = parts.netloc.rpartition("@")
    user = credentials.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}"))


def _description(info: msgspec.inspect.Type) -> str:
    schema = info.extra_json_schema if isinstance(info, msgspec.inspect.Metadata) else None
    return str((schema or {})["description"])


def _with_variable_name(message: str) -> str:
    """msgspec says 'Expected `int` … - at `$.port`', or names a field: name the variable."""
    message = re.sub(
        r"^(.*) - at `\$\.(\w+)`$", lambda m: f"{PREFIX}{m[2].upper()}: {m[1]}", message
    )
    return re.sub(
        r"Object (missing required|contains unknown) field `(\w+)`",
        lambda m: (
            f"{PREFIX}{m[2].upper()} is "
            + ("not set" if m[1].startswith("missing") else "not a setting (see service/README.md)")
        ),
        message,
    )
