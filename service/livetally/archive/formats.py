"""Exported events as NDJSON, CSV or Parquet, written as they come."""

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import IO, Any

import msgspec
from arro3.core import Array, DataType, Field, RecordBatch, Schema

from . import parquet, schema
from .export import Row

NAMES = ("project", *(name for name, *_ in schema.COLUMNS))
_TIMES = [n for n, name in enumerate(NAMES) if name.endswith("_at")]
_PROPERTIES = NAMES.index("properties")
_ARROW = Schema([Field("project", DataType.string(), nullable=False), *schema.FIELDS])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAR = timedelta(hours=23, minutes=59)
_ROW_BYTES = 300
#: As the page's own CSV has it: frontend/src/lib/csv.js.
_FORMULA = re.compile(r"[\s\x00-\x1f]*[=+\-@\uff0b\uff0d\uff1d\uff20]|[\t\r]")


async def write_ndjson(file: IO[bytes], pages: AsyncIterator[list[Row]]) -> None:
    """A JSON object a line; without what an event doesn't have."""
    encoder = msgspec.json.Encoder()
    async for rows in pages:
        for row in rows:
            event: dict[str, Any] = dict(zip(NAMES, _told(row), strict=True))
            if event["properties"] is not None:
                event["properties"] = msgspec.Raw(event["properties"].encode())
            known = {name: value for name, value in event.items() if value is not None}
            file.write(encoder.encode(known) + b"\n")


async def write_csv(file: IO[bytes], pages: AsyncIterator[list[Row]]) -> None:
    """RFC 4180 with a first line of names, in UTF-8; nothing where an event has nothing, and a `'`
    before what a spreadsheet would take for a formula."""
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(text)
        writer.writerow(NAMES)
        async for rows in pages:
            writer.writerows([_plain(cell) for cell in _told(row)] for row in rows)
    finally:
        text.detach()


async def write_parquet(file: IO[bytes], pages: AsyncIterator[list[Row]]) -> None:
    """The archive's columns, with the project before them."""
    await parquet.write(file, _ARROW, _batches(pages), _ROW_BYTES)


async def _batches(pages: AsyncIterator[list[Row]]) -> AsyncIterator[RecordBatch]:
    async for rows in pages:
        if rows:
            projects = Array([row[0] for row in rows], type=DataType.string())
            columns = schema.record_batch([row[1:] for row in rows]).columns
            yield RecordBatch.from_arrays([projects, *columns], schema=_ARROW)


def _plain(cell: Any) -> Any:
    """A subject can be anybody's text."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def _told(row: Row) -> list[Any]:
    """The row with its times as RFC 3339."""
    told = list(row)
    for n in _TIMES:
        if told[n] is not None:
            told[n] = _moment(told[n])
    return told


def _moment(microseconds: int) -> str:
    """RFC 3339, by an offset if only that keeps it within the years 1 to 9999."""
    since = timedelta(microseconds=microseconds)
    try:
        return f"{(_EPOCH + since).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
    except OverflowError:
        offset = _FAR if microseconds < 0 else -_FAR
        local = _EPOCH.replace(tzinfo=None) + offset + since
        return local.replace(tzinfo=timezone(offset)).isoformat(timespec="microseconds")
