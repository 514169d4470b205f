"""What is in an archive: for each plan an object that lists its parts, written when all are there.

Manifests are NDJSON, a part a line, below `_manifest/`. None is ever changed, so that any number of
workers can write them, and whoever trusts only manifests never sees half a plan.
"""

import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from ..base.errors import ArchiveUnavailable
from ..base.validation import plainly
from . import schema
from .stores import ObjectStore


class Entry(msgspec.Struct, frozen=True):
    """A line: an object, what it holds, and its size and SHA-256."""

    object: str
    project: str
    type: str
    hour: datetime
    events: int
    ranges: dict[int, tuple[int, int]]
    first_received_at: datetime
    last_received_at: datetime
    bytes: int
    sha256: str


_entry = msgspec.json.Decoder(Entry)
#: An object's, in its folder: nothing that leads out of it.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


def name(plan: Mapping[str, Any]) -> str:
    """The manifest's name; they sort in the order of a project's plans."""
    project = schema.escape(plan["project_name"])
    return f"{schema.MANIFESTS}project={project}/{plan['number']:010d}-{plan['token']}.ndjson"


def text(plan: Mapping[str, Any]) -> bytes:
    """The manifest of a plan as the ledger has it: the same bytes whoever writes it."""
    parts = msgspec.json.decode(plan["parts"])
    entries = [
        msgspec.convert(part | {"project": plan["project_name"]}, Entry, str_keys=True)
        for part in parts
    ]
    return b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)


async def entries(objects: ObjectStore, project: str | None = None) -> AsyncIterator[Entry]:
    """What an archive holds, of one project or of all, in the order in which it was planned.

    Raises ArchiveUnavailable; a manifest that isn't whole is one that was changed.
    """
    of = "" if project is None else f"project={schema.escape(project)}/"
    with tempfile.TemporaryDirectory(prefix="livetally-") as folder:
        file = Path(folder) / "manifest"
        async for each in objects.names(schema.MANIFESTS + of):
            await objects.get(each, file)
            for number, line in enumerate(file.read_bytes().splitlines(), 1):
                yield _read(line, f"{objects.url}/{each}, line {number}")


def _read(line: bytes, where: str) -> Entry:
    try:
        entry = _entry.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArchiveUnavailable(
            "changed", f"{where} is no part of an archive: {plainly(str(error))}"
        ) from None
    folder, _, name = entry.object.rpartition("/")
    if folder != schema.folder(entry.project, entry.type, entry.hour) or not _NAME.fullmatch(name):
        raise ArchiveUnavailable(
            "changed", f"{where} names an object that is none of its project's, type's and hour's."
        )
    return entry
