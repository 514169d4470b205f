"""What .github/SECURITY.md says, and the controls that no other file tests."""

import asyncio
import contextlib
import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from yarl import URL

from livetally.archive.export import Row
from livetally.archive.formats import write_csv
from livetally.server import process as server_process
from service.tests.support.paths import ROOT
from service.tests.support.postgres import make_keys
from service.tests.support.server import serving


def test_every_control_names_tests_that_exist() -> None:
    """Each row of the table of controls names tests, and each of them is there."""
    text = (ROOT / ".github" / "SECURITY.md").read_text("utf-8")
    rows = text.partition("| control |")[2].splitlines()[2:]
    rows = [row for row in rows if row.startswith("|")]
    assert len(rows) > 10
    tests = "\n".join(file.read_text("utf-8") for file in (ROOT / "service/tests").rglob("*.py"))
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert all(f"def {name}(" in tests for name in named), row


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " =", "\r", "\uff1d", "\x00@"])
async def test_no_cell_is_a_formula(start: str) -> None:
    """What a spreadsheet would run is text in an export's CSV; other text stays as it is."""

    async def pages() -> AsyncIterator[list[Row]]:
        row = ["demo", "a", "click", f"{start}cmd|' /C calc'!A0", "a=b", 0, 0, 1, 1, None]
        yield [row]

    file = io.BytesIO()
    await write_csv(file, pages())
    _, cells = csv.reader(io.StringIO(file.getvalue().decode(), newline=""))
    assert cells[3] == f"'{start}cmd|' /C calc'!A0"
    assert cells[4] == "a=b"


@pytest.mark.parametrize("folder", ["assets", "js", "examples", "docs"])
async def test_no_path_leads_out(
    folder: str, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Whatever a path is made of, nothing but the folder's own files is answered."""
    (tmp_path / "secret.js").write_text("the secret")
    pages = tmp_path / "pages"
    for name in ("assets", "js"):
        (pages / name).mkdir(parents=True)
    (pages / "index.html").write_text("the secret")
    keys = await make_keys(database_url)
    async with serving(database_url, redis_url, keys, pages_dir=str(pages)) as service:
        for up in (
            "..%2f",
            "..%5c",
            "%2e%2e%2f",
            "%2e%2e/",
            "....//",
            "%252e%252e%252f",
            "%2f",
            "~",
        ):
            for name in (f"{up}index.html", f"{up * 2}secret.js", f"{up * 9}etc%2fpasswd"):
                url = f"{service.url}/{folder}/{name}"
                async with service.http.get(URL(url, encoded=True)) as answer:
                    assert answer.status in (400, 404), url
                    assert "secret" not in (await answer.text()).replace("secret.js", ""), url


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\nHost:", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"]
)
async def test_a_connection_without_a_whole_head_is_closed(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """One that says nothing, half a head, or nothing after an answer, also if a byte comes now and
    then: closed when its time is over. A viewer's may be silent for longer."""
    monkeypatch.setattr(server_process, "KEEPALIVE_S", 0.5)
    keys = await make_keys(database_url)
    async with serving(database_url, redis_url, keys) as service, service.live() as viewer:
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(service.url).port)
        reading = asyncio.create_task(reader.read())
        writer.write(said)
        async with asyncio.timeout(20):
            while not reading.done():
                if said.endswith(b":"):
                    writer.write(b"a")
                await asyncio.sleep(0.05)
        with contextlib.suppress(ConnectionError):  # a byte came after the end
            assert (await reading).startswith(b"HTTP/1.1 200 " if said.endswith(b"\n") else b"")
        writer.close()
        assert (await viewer.subscribe(1, {"totals": "click"}))["type"] == "snapshot"
