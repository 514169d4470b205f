"""/openapi.json, read by a machine that tries everything it says and much that it doesn't."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from livetally.schema.keys import Role
from service.tests.support.postgres import make_keys
from service.tests.support.process import Process

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
#: They answer with a websocket, or never end: test_live.py, test_sse.py. And answers of which each
#: place has a type of its own are more than Schemathesis 4 reads (`prefixItems`):
#: test_pointer_history.py.
LEFT_OUT = r"/(ws|live|live/sse|cable|heatmap|replay)$"


def test_no_request_that_a_machine_thinks_of_breaks_it(
    spawn: Callable[..., Process], database_url: str, tmp_path: Path
) -> None:
    """Schemathesis, the same requests each time, valid and not, to every route but the streams:
    no 500, no status, type or answer that the document doesn't have; the process goes on."""
    keys = asyncio.run(make_keys(database_url))
    for page in ("index", "overview", "admin"):
        (tmp_path / f"{page}.html").write_text("<!doctype html>")
    process = spawn(LIVETALLY_PAGES_DIR=str(tmp_path)).wait_ready()
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{process.url}/openapi.json"),
            *("--header", f"x-api-key: {keys[Role.ADMIN]}"),
            *("--exclude-path-regex", LEFT_OUT, "--checks", ",".join(CHECKS)),
            *("--phases", "coverage,fuzzing", "--max-examples", "3"),
            "--generation-deterministic",
            *("--continue-on-failure", "--no-shrink", "--no-color", "--warnings", "off"),
            *("--suppress-health-check", "all", "--request-timeout", "30"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
    assert process.stop() == 0
