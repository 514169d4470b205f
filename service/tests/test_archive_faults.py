"""When the archive can't be written: said clearly, counted by cause, nothing lost, and well again
by itself."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from archived import Moto, check_archive, environment, fill
from faults import until
from test_archive import all_archived, moto, worker

from livetally.errors import DatabaseUnavailable
from livetally.workers.archive import Archive
from livetally.workers.objects import open_objects

__all__ = ["moto"]  # the fixture

REFUSALS = {
    "access_denied": (403, "AccessDenied"),
    "credentials": (403, "InvalidAccessKeyId"),
    "missing": (404, "NoSuchBucket"),
    "throttled": (503, "SlowDown"),
    "clock_skew": (403, "RequestTimeTooSkewed"),
    "server_error": (500, "InternalError"),
    "unreachable": (0, ""),
}


class Between:
    """Stands before moto's S3 and answers in its place while it is told to."""

    def __init__(self, behind: str) -> None:
        self._behind = behind
        self.refuses: tuple[int, str] | None = None
        self.url = ""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Between"]:
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(auto_decompress=False) as self._http:
            try:
                yield self
            finally:
                await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self.refuses:
            status, code = self.refuses
            if not status:  # the line is cut
                assert request.transport
                request.transport.abort()
                return web.Response()
            text = f"<Error><Code>{code}</Code><Message>it says</Message></Error>"
            return web.Response(status=status, text=text, content_type="application/xml")
        url = self._behind + request.raw_path
        headers = {k: v for k, v in request.headers.items() if k.lower() != "content-length"}
        async with self._http.request(request.method, url, data=body, headers=headers) as answer:
            drop = {"transfer-encoding", "content-length", "connection", "date", "server"}
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in drop}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)


def failures(archive: Archive, cause: str) -> float:
    return float(archive._metrics.archive_failures.labels(cause)._value.get())


@contextlib.asynccontextmanager
async def running(archive: Archive) -> AsyncIterator[None]:
    loop = asyncio.create_task(archive.run())
    try:
        yield
    finally:
        archive.close()
        await loop


async def told_and_lost_nothing(
    archive: Archive, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is counted, logged with its cause, and shown by /readyz; the worker lives."""
    await until(lambda: failures(archive, cause) > 0, 30, lambda: caplog.text)
    assert f"not archived ({cause}): " in caplog.text
    report = archive._health.report(None)
    assert report.status == "degraded"
    assert report.reasons == [f"archiving fails: {cause}"]
    assert archive._metrics.archive_lag_seconds._value.get() > 0


async def well_again(archive: Archive, database_url: str) -> None:
    await until(lambda: all_archived(database_url), 60)
    await until(lambda: archive._health.report(None).status == "ready", 60)


@pytest.mark.parametrize("cause", REFUSALS)
async def test_a_bucket_that_fails(
    cause: str, moto: Moto, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever S3 answers, or doesn't: it is told by its cause, and all is archived afterwards."""
    bucket = f"fails-{cause.replace('_', '-')}"
    moto.make_bucket(bucket)
    fill(database_url, 500, hours=1, kinds=2)
    async with Between(moto.url).open() as between:
        with environment({"AWS_ENDPOINT_URL_S3": between.url}):
            async with worker(database_url, open_objects(f"s3://{bucket}/a")) as archive:
                between.refuses = REFUSALS[cause]
                async with running(archive):
                    await told_and_lost_nothing(archive, cause, caplog)
                    between.refuses = None
                    await well_again(archive, database_url)
    check_archive(moto.download(bucket, "a/", tmp_path), database_url)


async def test_a_bucket_that_is_made_later(
    moto: Moto, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What S3 itself says of a bucket that isn't there; once it is made, all is archived."""
    fill(database_url, 100, hours=1, kinds=1)
    async with worker(database_url, open_objects("s3://made-later")) as archive, running(archive):
        await told_and_lost_nothing(archive, "missing", caplog)
        assert "LIVETALLY_ARCHIVE_URL" in caplog.text
        moto.make_bucket("made-later")
        await well_again(archive, database_url)
    check_archive(moto.download("made-later", "", tmp_path), database_url)


async def test_a_directory_that_is_not_there(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that isn't mounted is not replaced by a directory of the same name."""
    fill(database_url, 100, hours=1, kinds=1)
    root = tmp_path / "mounted later"
    async with worker(database_url, root) as archive, running(archive):
        await told_and_lost_nothing(archive, "missing", caplog)
        assert not await asyncio.to_thread(root.exists)
        await asyncio.to_thread(root.mkdir)
        await well_again(archive, database_url)
    check_archive(root, database_url)


@pytest.fixture
def small_disk(tmp_path: Path) -> AsyncIterator[Path]:
    root = tmp_path / "disk"
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(root)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a disk of its own can't be mounted here: that needs root")
    yield root
    subprocess.run(["umount", "-l", str(root)], check=True)


async def test_a_disk_that_is_full(
    small_disk: Path, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk leaves no half file; once there is room, all is archived."""
    fill(database_url, 3000, hours=2, kinds=2)
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (1024 * 1024 - 20_000))
    async with worker(database_url, small_disk) as archive, running(archive):
        await told_and_lost_nothing(archive, "disk_full", caplog)
        filler.unlink()
        await well_again(archive, database_url)
    check_archive(small_disk, database_url)


async def test_postgres_is_cut_off(database_url: str, tmp_path: Path) -> None:
    """Without Postgres nothing is claimed and nothing is stored; then it goes on."""
    from conftest import query

    fill(database_url, 500, hours=1, kinds=2)
    async with worker(database_url, tmp_path) as archive:
        assert await archive.step()
        query(
            database_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'livetally archive' AND datname = current_database()",
        )
        with pytest.raises(DatabaseUnavailable):
            await archive.step()
        while await archive.step():
            pass
    check_archive(tmp_path, database_url)
