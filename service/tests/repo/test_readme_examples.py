"""The READMEs' examples, typed into a shell as they are written."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from service.tests.support.paths import COMPAT_README, MODULES, README, SERVICE_README
from service.tests.support.server import Service

COMPAT = (
    "Colour tracking, serverless",
    "Colour tracking, Rails",
    "Page views for a blog",
    "Real-time items",
    "Event collector",
)
EXAMPLES = [
    (README, "Count something"),
    (SERVICE_README, "Count something"),
    (SERVICE_README, "Keep items up to date"),
    *((COMPAT_README, title) for title in COMPAT),
]
MOMENT = re.compile(r'"\d{4}-\d\d-\d\dT[\d:.]+Z"')


def example(readme: Path, title: str) -> tuple[list[str], list[str]]:
    """The commands of a section, and what it says they print."""
    section = readme.read_text("utf-8").partition(f"\n## {title}\n")[2]
    found = re.search(r"```sh\n(.*?)```\n```json\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1].replace("\\\n", "").splitlines(), found[2].splitlines()


@pytest.mark.parametrize(("readme", "title"), EXAMPLES)
async def test_examples_print_what_readme_says(service: Service, readme: Path, title: str) -> None:
    """Each command line, typed into a shell, prints the line that stands for it."""
    commands, expected = example(readme, title)
    address = service.url.removeprefix("http://")
    path = f"{MODULES / '.bin'}:{os.environ['PATH']}"
    keys = {f"{role.name}_KEY": key for role, key in service.keys.items()}
    for command, line in zip(commands, expected, strict=True):
        if command.startswith("wscat") and shutil.which("wscat", path=path) is None:
            pytest.skip("wscat is missing: npm ci in frontend/")
        shell = await asyncio.create_subprocess_shell(
            command.replace("127.0.0.1:8080", address),
            env={**os.environ, "PATH": path, **keys},
            stdin=asyncio.subprocess.PIPE,  # where it ends, wscat ends
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert shell.stdout
        printed = await asyncio.wait_for(shell.stdout.read(), 60)
        await shell.wait()
        lines = [MOMENT.sub("…", each) for each in printed.decode().splitlines()]
        assert MOMENT.sub("…", line) in lines, (command, lines)


def test_every_compatibility_api_has_its_section() -> None:
    """The compatibility APIs' README has these sections, and no other."""
    sections = re.findall("^## (.*)$", COMPAT_README.read_text("utf-8"), re.MULTILINE)
    assert tuple(sections) == COMPAT
