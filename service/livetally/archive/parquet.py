"""Events to and from Parquet files, a batch at a time: memory doesn't grow with the file."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import arro3.io
from arro3.core import DataType, RecordBatch, RecordBatchReader, Schema

#: A row group is held in memory while it is written: of about this many bytes of text before they
#: are compressed, and of this many rows at most.
_GROUP_BYTES = 16 * 1024 * 1024
_GROUP_ROWS = 50_000

T = TypeVar("T")


class _Stopped(Exception):
    """Whoever asked for the file does not wait any more, or it can't be written."""


class _Sink:
    """A file whose writing never fails: where it does, arro3 panics, and that ends the process.
    What went wrong is kept in `failure`, and the rest is thrown away."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = 0
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        self._at += len(data)
        return self._kept(lambda: self._file.write(data), len(data))

    def flush(self) -> None:
        self._kept(self._file.flush, None)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._kept(lambda: self._file.seek(offset, whence), self._at)

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        """Whoever opened the file closes it."""

    def _kept(self, act: Callable[[], T], otherwise: T) -> T:
        if self.failure is None:
            try:
                return act()
            except OSError as error:
                self.failure = error
        return otherwise


async def write(
    file: IO[bytes], schema: Schema, batches: AsyncIterator[RecordBatch], row_bytes: int
) -> None:
    """Write the batches as they come, in a thread. Raises what reading them raises, and OSError.

    `row_bytes` is what an event takes, about: it decides how many make a row group.
    """
    loop = asyncio.get_running_loop()
    stop = threading.Event()
    sink = _Sink(file)
    failures: list[BaseException] = []

    async def following() -> RecordBatch | None:
        return await anext(batches, None)

    def pulled() -> Iterator[RecordBatch]:
        try:
            while not stop.is_set() and sink.failure is None:
                batch = asyncio.run_coroutine_threadsafe(following(), loop).result()
                if batch is None:
                    return
                yield batch
            raise _Stopped
        except BaseException as error:
            failures.append(error)  # arro3 would make another exception of it
            raise

    def write_all() -> None:
        arro3.io.write_parquet(
            RecordBatchReader.from_batches(schema, pulled()),
            cast("IO[bytes]", sink),
            compression="zstd(3)",
            max_row_group_size=max(1_000, min(_GROUP_ROWS, _GROUP_BYTES // max(1, row_bytes))),
        )

    try:
        await asyncio.to_thread(write_all)
        sink.flush()
    except Exception:
        if failures and sink.failure is None:
            raise failures[0] from None
        if sink.failure is None:
            raise
    finally:
        stop.set()
    if sink.failure is not None:
        raise sink.failure


def digest(file: Path) -> tuple[int, str]:
    """(size in bytes, SHA-256) of a file."""
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
        return opened.tell(), found


def read(file: Path) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a file as schema.COLUMNS has them, times as microseconds since 1970."""
    for batch in arro3.io.read_parquet(file, batch_size=1_000):
        columns = []
        for column in batch.columns:
            if DataType.is_temporal(column.type):
                column = column.cast(DataType.int64())
            columns.append(column.to_pylist())
        yield list(zip(*columns, strict=True))
