""".ci/audit, which asks for known holes: it finds one, and takes no silence for a clean answer."""

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.tests.support.paths import ROOT

LOCK = f"yarl==1.0.0 \\\n    --hash=sha256:{64 * '0'}\n"
HOLE = {
    "id": "GHSA-0000-0000-0000",
    "modified": "2026-11-21T10:00:00Z",
    "summary": "A hole",
    "affected": [
        {
            "package": {"name": "yarl", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}
ADVISORY = {
    "id": 1,
    "title": "A hole",
    "url": "https://advisories.example/1",
    "severity": "high",
    "vulnerable_versions": "<999",
    "cwe": [],
    "cvss": {"score": 7, "vectorString": None},
}


@contextlib.asynccontextmanager
async def advisors(python: list[Any] | None, npm: dict[str, Any] | None) -> AsyncIterator[str]:
    """What OSV and npm's registry answer; None: nothing of use."""

    async def osv(request: web.Request) -> web.Response:
        return (
            web.json_response({"vulns": python}) if python is not None else web.Response(status=503)
        )

    async def bulk(request: web.Request) -> web.Response:
        return web.json_response(npm) if npm is not None else web.Response(status=405)

    app = web.Application()
    app.router.add_post("/query", osv)
    app.router.add_post("/-/npm/v1/security/advisories/bulk", bulk)
    server = TestServer(app)
    await server.start_server()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.close()


async def audit(url: str, folder: Path, pins: str = LOCK) -> tuple[int, str]:
    """(exit status, all that it said)"""
    lock = folder / "requirements.txt"
    lock.write_text(pins)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / ".ci" / "audit"), "--osv-url", f"{url}/query"),
        *("--npm-registry", url, str(lock)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm isn't installed")


@needs_npm
async def test_nothing_known(tmp_path: Path) -> None:
    async with advisors([], {}) as url:
        status, said = await audit(url, tmp_path)
    assert (status, said) == (0, "No hole is known in anything that we depend on.\n")


@needs_npm
async def test_holes_are_listed(tmp_path: Path) -> None:
    """Of either kind, each with its name."""
    async with advisors([HOLE], {"vite": [ADVISORY]}) as url:
        status, said = await audit(url, tmp_path)
    assert status == 1
    assert "yarl 1.0.0: GHSA-0000-0000-0000 (mended in 1.1)" in said
    assert "vite: A hole (high)" in said


async def test_who_does_not_answer_has_not_said_no(tmp_path: Path) -> None:
    """Status 2 and why, for each that could not be asked."""
    async with advisors(None, None) as url:
        status, said = await audit(url, tmp_path)
    assert status == 2
    assert "NOT ASKED Python: " in said
    assert "NOT ASKED npm: " in said
    assert "No hole" not in said


async def test_an_unknown_package_is_not_one_without_holes(tmp_path: Path) -> None:
    """pip-audit alone ends well when it has skipped what nobody can tell of."""
    pins = LOCK.replace("==1.0.0", " @ https://files.example/yarl-1.0.0-py3-none-any.whl")
    async with advisors([], {}) as url:
        status, said = await audit(url, tmp_path, pins=pins)
    assert status == 2
    assert "NOT ASKED Python: 1 packages are unknown there." in said
