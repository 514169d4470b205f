"""Where an archive is: a bucket of S3, or a directory. An object is there whole, or not at all."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from ..base.config import ConfigError
from .directory import Directory
from .s3 import S3Store


class ObjectStore(Protocol):
    """What is asked of the place. All of it raises ArchiveUnavailable, with its cause."""

    url: str

    def temporary(self) -> AbstractContextManager[Path]:
        """A new file to write to and to hand to `put`; it is gone afterwards."""

    async def put(self, name: str, file: Path) -> None:
        """Make `file` the object of that name, durably, in place of any that is there."""

    async def get(self, name: str, file: Path) -> None:
        """Write the object of that name to `file`."""

    def names(self, prefix: str) -> AsyncIterator[str]:
        """The objects whose names begin so, in order."""

    async def close(self) -> None:
        """Let go of connections."""


def open_objects(url: str) -> ObjectStore:
    """The place that `s3://bucket/prefix`, or a directory's path, names. Raises ConfigError."""
    place = url.removeprefix("file://")
    if "://" not in place and place:
        return Directory(Path(place))
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    if not place.startswith("s3://") or not bucket:
        raise ConfigError(f"an archive is at s3://bucket/prefix or in a directory, not at {url!r}")
    return S3Store(bucket, prefix.strip("/"))
