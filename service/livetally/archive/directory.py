"""An archive in a directory: each object a file, written beside and renamed into its place."""

import asyncio
import contextlib
import errno
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..base.errors import ArchiveUnavailable

#: A temporary file this old was left by a worker that was killed.
_ABANDONED_S = 24 * 60 * 60

_CAUSES = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EACCES: "access_denied",
    errno.EPERM: "access_denied",
    errno.EROFS: "access_denied",
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
}


class Directory:
    """Objects are files below `root`, which must exist: a disk that isn't mounted is noticed."""

    def __init__(self, root: Path) -> None:
        self.url = str(root)
        self._root = root

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """A file on the archive's own disk, so that it can be renamed."""
        with _told(self.url):
            folder = self._root / "_tmp"
            folder.mkdir(exist_ok=True)
            _sweep(folder)
            handle, name = tempfile.mkstemp(dir=folder)
            os.close(handle)
            file = Path(name)
            try:
                yield file
            finally:
                with contextlib.suppress(OSError):
                    file.unlink(missing_ok=True)

    async def put(self, name: str, file: Path) -> None:
        """Rename it into place. What the disk doesn't have yet is waited for, before and after."""
        await asyncio.to_thread(self._put, self._place(name), file)

    def _put(self, place: Path, file: Path) -> None:
        with _told(self.url):
            made = _make_folders(self._root, place.parent)
            file.chmod(0o644)
            _sync(file)
            file.replace(place)
            for folder in (place.parent, *made):
                _sync(folder)

    async def get(self, name: str, file: Path) -> None:
        """A copy."""
        with _told(self.url):
            await asyncio.to_thread(shutil.copyfile, self._place(name), file)

    def _place(self, name: str) -> Path:
        """Whoever names an object may have read the name: it leads nowhere else."""
        if not {"", ".", ".."}.isdisjoint(name.split("/")):
            raise ArchiveUnavailable("missing", f"No archive has an object {name!r}.")
        return self._root / name

    async def names(self, prefix: str) -> AsyncIterator[str]:
        """Walks the tree below the prefix's last slash."""
        base = self._root / prefix.rpartition("/")[0]
        with _told(self.url):
            if not self._root.is_dir():
                raise FileNotFoundError(errno.ENOENT, "no such directory")
            found = await asyncio.to_thread(lambda: sorted(_files(self._root, base)))
        for name in found:
            if name.startswith(prefix):
                yield name

    async def close(self) -> None:
        """There is nothing to close."""


def _files(root: Path, base: Path) -> Iterator[str]:
    for folder, _, files in os.walk(base):
        for file in files:
            yield (Path(folder) / file).relative_to(root).as_posix()


def _make_folders(root: Path, folder: Path) -> list[Path]:
    """Make what is missing; returns the folders that have a new entry."""
    missing = []
    while folder != root and not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)  # another worker may be faster
    return [each.parent for each in missing]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(folder: Path) -> None:
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime > _ABANDONED_S:
                file.unlink()


@contextmanager
def _told(url: str) -> Iterator[None]:
    """What the system refuses, as ArchiveUnavailable."""
    try:
        yield
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0, "other")
        raise ArchiveUnavailable(
            cause, f"The archive in {url}: {error.strerror or error}."
        ) from error
