"""What an archived event looks like: the columns of the Parquet files, and the partitions' names.

The one truth for everything that reads or declares the archive: the writer, `restore`, `export`,
and Terraform's Glue table, which is `GLUE_COLUMNS` and `PARTITION_KEYS` with `projection()`.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from arro3.core import Array, DataType, Field, RecordBatch, Schema

#: (name, Glue type, Arrow type, may be null), in the files' order.
COLUMNS: tuple[tuple[str, str, DataType, bool], ...] = (
    ("id", "string", DataType.string(), False),
    ("type", "string", DataType.string(), False),
    ("subject", "string", DataType.string(), False),
    ("session", "string", DataType.string(), True),
    ("occurred_at", "timestamp", DataType.timestamp("us", tz="UTC"), True),
    ("received_at", "timestamp", DataType.timestamp("us", tz="UTC"), False),
    ("slot", "int", DataType.int32(), False),
    ("seq", "bigint", DataType.int64(), False),
    ("properties", "string", DataType.string(), True),  # JSON text, as it was sent
)
PARTITION_KEYS: tuple[tuple[str, str], ...] = (
    ("project", "string"),
    ("type", "string"),
    ("year", "int"),
    ("month", "int"),
    ("day", "int"),
    ("hour", "int"),
)
#: A table can't have a column twice: in Glue `type` is the partition's.
GLUE_COLUMNS = tuple((name, kind) for name, kind, _, _ in COLUMNS if name != "type")

#: Where `seq` is in a row.
SEQ = [name for name, *_ in COLUMNS].index("seq")

FIELDS = tuple(Field(name, kind, nullable=null) for name, _, kind, null in COLUMNS)
ARROW = Schema(FIELDS)

MANIFESTS = "_manifest/"

_PLAIN = re.compile(rb"[A-Za-z0-9_.-]")
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
#: File systems take 255 bytes for a name; "project=" is 8 of them.
_MAX_VALUE = 200


def projection(location: str) -> dict[str, str]:
    """The Glue table's parameters, for the archive at `location`: Athena works out the partitions.

    `project` and `type` have to be given in every query, as they stand in the path.
    """
    ranges = {"year": "2026,2056", "month": "1,12", "day": "1,31", "hour": "0,23"}
    parameters = {"classification": "parquet", "projection.enabled": "true"}
    for name in ("project", "type"):
        parameters[f"projection.{name}.type"] = "injected"
    for name, numbers in ranges.items():
        parameters[f"projection.{name}.type"] = "integer"
        parameters[f"projection.{name}.range"] = numbers
        if name != "year":
            parameters[f"projection.{name}.digits"] = "2"
    path = "/".join(f"{name}=${{{name}}}" for name, _ in PARTITION_KEYS)
    return parameters | {"storage.location.template": f"{location}/{path}"}


def escape(value: str) -> str:
    """A partition's value in a path, as Hive does it: bytes other than A-Z a-z 0-9 _ . - as %XX.

    What would be too long for a file's name ends in `~` and a digest; the events have it whole.
    """
    escaped = "".join(
        chr(byte) if _PLAIN.match(bytes([byte])) else f"%{byte:02X}" for byte in value.encode()
    )
    if value == _HIVE_NULL:  # readers would take it for NULL
        escaped = escaped.replace("_", "%5F")
    if len(escaped) > _MAX_VALUE:
        kept = escaped[: _MAX_VALUE - 17]
        kept = kept[: kept.rindex("%")] if "%" in kept[-2:] else kept
        escaped = f"{kept}~{hashlib.sha256(value.encode()).hexdigest()[:16]}"
    return escaped


def folder(project: str, type: str, hour: datetime) -> str:
    """Where the events of a project and type are that were received in this hour (UTC)."""
    return f"project={escape(project)}/type={escape(type)}/{hour:year=%Y/month=%m/day=%d/hour=%H}"


def record_batch(rows: Sequence[Sequence[Any]]) -> RecordBatch:
    """Rows with a value for each of COLUMNS, times as microseconds since 1970."""
    arrays = []
    for (_, glue, kind, _), values in zip(COLUMNS, zip(*rows, strict=True), strict=True):
        if glue == "timestamp":  # arro3 makes none from Python's values
            arrays.append(Array(values, type=DataType.int64()).cast(kind))
        else:
            arrays.append(Array(values, type=kind))
    return RecordBatch.from_arrays(arrays, schema=ARROW)
