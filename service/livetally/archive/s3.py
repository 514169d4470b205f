"""An archive in a bucket of S3, or of anything that speaks S3 (`AWS_ENDPOINT_URL_S3`)."""

import asyncio
import contextlib
import errno
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from ..base import aws
from ..base.errors import ArchiveUnavailable

#: Larger files are sent in pieces of this size, so that memory stays bounded.
PIECE_BYTES = 8 * 1024 * 1024

_ADVICE = {
    "credentials": "see that AWS_ACCESS_KEY_ID and the others are right, or the task's role",
    "access_denied": "see that the credentials may read, write and list there",
    "missing": "make it, or correct LIVETALLY_ARCHIVE_URL",
    "clock_skew": "set this machine's clock: AWS refuses times that are 15 minutes off",
    "throttled": "it will be tried again, more slowly",
}


class S3Store:
    """Objects of a bucket whose keys begin with `prefix`. The client is made when first needed."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._stack = AsyncExitStack()
        self._client: Any = None

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """A file of the system's temporary directory."""
        try:
            with tempfile.TemporaryDirectory(prefix="livetally-") as folder:
                yield Path(folder) / "object"
        except OSError as error:
            raise ArchiveUnavailable(
                "disk_full", f"The temporary directory: {error.strerror or error}."
            ) from error

    async def put(self, name: str, file: Path) -> None:
        """In one request, or as a multipart upload, which also appears whole or not at all."""
        async with self._s3() as s3:
            if (await asyncio.to_thread(file.stat)).st_size <= PIECE_BYTES:
                body = await asyncio.to_thread(file.read_bytes)
                await s3.put_object(**self._at(name), Body=body, ChecksumAlgorithm="SHA256")
            else:
                await self._put_in_pieces(s3, self._at(name), file)

    async def _put_in_pieces(self, s3: Any, at: dict[str, str], file: Path) -> None:
        upload = await s3.create_multipart_upload(**at, ChecksumAlgorithm="SHA256")
        at_upload = at | {"UploadId": upload["UploadId"]}
        try:
            pieces: list[dict[str, Any]] = []
            with await asyncio.to_thread(file.open, "rb") as source:
                while body := await asyncio.to_thread(source.read, PIECE_BYTES):
                    number = len(pieces) + 1
                    sent = await s3.upload_part(
                        **at_upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256"
                    )
                    pieces.append(
                        {
                            "PartNumber": number,
                            "ETag": sent["ETag"],
                            "ChecksumSHA256": sent["ChecksumSHA256"],
                        }
                    )
            await s3.complete_multipart_upload(**at_upload, MultipartUpload={"Parts": pieces})
        except BaseException:
            # A killed worker's pieces stay: the bucket needs a rule that ends them after a day.
            with contextlib.suppress(*aws.FAILURES):
                await s3.abort_multipart_upload(**at_upload)
            raise

    async def get(self, name: str, file: Path) -> None:
        """Streamed."""
        async with self._s3() as s3:
            answer = await s3.get_object(**self._at(name))
            async with answer["Body"] as body:
                with await asyncio.to_thread(file.open, "wb") as target:
                    while piece := await body.read(PIECE_BYTES):
                        await asyncio.to_thread(target.write, piece)

    async def names(self, prefix: str) -> AsyncIterator[str]:
        """Lists 1,000 at a time."""
        async with self._s3() as s3:
            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            async for page in pages:
                for found in page.get("Contents", ()):
                    yield found["Key"].removeprefix(self._prefix)

    async def close(self) -> None:
        """Ends the client."""
        self._client = None
        await self._stack.aclose()

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}

    @asynccontextmanager
    async def _s3(self) -> AsyncIterator[Any]:
        """The client; what goes wrong with it, as ArchiveUnavailable."""
        try:
            if self._client is None:
                self._client = await self._stack.enter_async_context(aws.client("s3"))
            yield self._client
        except aws.FAILURES as error:
            fault = aws.fault(error)
            full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            raise self._unavailable("disk_full" if full else fault.cause, fault.message) from error

    def _unavailable(self, cause: str, what: str) -> ArchiveUnavailable:
        advice = f" ({_ADVICE[cause]})" if cause in _ADVICE else ""
        return ArchiveUnavailable(cause, f"The archive at {self.url}: {what.rstrip('.')}{advice}.")
