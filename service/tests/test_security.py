"""What .github/SECURITY.md says, and the controls that no other file tests."""

import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from conftest import make_keys, serving
from yarl import URL

from livetally.workers.export import Row
from livetally.workers.formats import write_csv

ROOT = Path(__file__).parents[2]


def test_every_control_names_tests_that_exist() -> None:
    """Each row of the table of controls names tests, and each of them is there."""
    text = (ROOT / ".github" / "SECURITY.md").read_text("utf-8")
    rows = text.partition("| control |")[2].splitlines()[2:]
    rows = [row for row in rows if row.startswith("|")]
    assert len(rows) > 10
    tests = "\n".join(file.read_text("utf-8") for file in (ROOT / "service/tests").glob("*.py"))
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
