"""When the archive can't be written: said clearly, counted by cause, nothing lost, and well again
by itself."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from livetally.archive.archiver import Archive
from livetally.archive.stores import open_objects
from livetally.base.errors import DatabaseUnavailable
from livetally.ops.health import Health, Heartbeat
from service.tests.support.archives import (
    Buckets,
    all_archived,
    check_archive,
    environment,
    fill,
    worker,
)
from service.tests.support.aws import BREAK, Gate, Spoil, s3_refusing
from service.tests.support.waiting import until

FAULTS: dict[str, Spoil] = {
    "access_denied": s3_refusing("AccessDenied", 403),
    "credentials": s3_refusing("InvalidAccessKeyId", 403),
    "missing": s3_refusing("NoSuchBucket", 404),
    "throttled": s3_refusing("SlowDown", 503),
    "clock_skew": s3_refusing("RequestTimeTooSkewed", 403),
    "server_error": s3_refusing("InternalError", 500),
    "unreachable": lambda request: BREAK,
}


def failures(archive: Archive, cause: str) -> float:
    return float(archive._metrics.archive_failures.labels(cause)._value.get())


@contextlib.asynccontextmanager
async def running(archive: Archive) -> AsyncIterator[None]:
    loop = asyncio.create_task(archive.run(Heartbeat(Health(), "archive")))
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


@pytest.mark.parametrize("cause", FAULTS)
async def test_a_bucket_that_fails(
    cause: str,
    buckets: Buckets,
    database_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever S3 answers, or doesn't: it is told by its cause, and all is archived afterwards."""
    bucket = f"fails-{cause.replace('_', '-')}"
    buckets.make_bucket(bucket)
    fill(database_url, 500, hours=1, kinds=2)
    async with Gate(buckets.url).open() as gate:
        with environment({"AWS_ENDPOINT_URL_S3": gate.url}):
            async with worker(database_url, open_objects(f"s3://{bucket}/a")) as archive:
                gate.spoil = FAULTS[cause]
                async with running(archive):
                    await told_and_lost_nothing(archive, cause, caplog)
                    gate.spoil = lambda request: None
                    await well_again(archive, database_url)
    check_archive(buckets.download(bucket, "a/", tmp_path), database_url)


async def test_a_bucket_that_is_made_later(
    buckets: Buckets, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What S3 itself says of a bucket that isn't there; once it is made, all is archived."""
    fill(database_url, 100, hours=1, kinds=1)
    async with worker(database_url, open_objects("s3://made-later")) as archive, running(archive):
        await told_and_lost_nothing(archive, "missing", caplog)
        assert "LIVETALLY_ARCHIVE_URL" in caplog.text
        buckets.make_bucket("made-later")
        await well_again(archive, database_url)
    check_archive(buckets.download("made-later", "", tmp_path), database_url)


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
    from service.tests.support.postgres import query

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
