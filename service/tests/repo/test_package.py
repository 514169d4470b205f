"""What `make dist` makes: a wheel that has all inside, and asks for what it needs."""

import email
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import livetally
from livetally.site.docs.documents import Documents
from service.tests.support.paths import FRONTEND, ROOT

_TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
).stdout.splitlines()
SHIPPED = "livetally/site/shipped/"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Made from the sdist, as pip makes it where there is no wheel."""
    folder = tmp_path_factory.mktemp("dist")
    program = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    quiet = {"cwd": ROOT, "check": True, "capture_output": True}
    subprocess.run([sys.executable, "-c", program], **quiet)
    (sdist,) = folder.glob("*.tar.gz")
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(sdist)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options], **quiet)
    (made,) = folder.glob("*.whl")
    return zipfile.ZipFile(made)


def test_the_wheel_has_all_of_the_package(wheel: zipfile.ZipFile) -> None:
    """Every file of the package but its READMEs, which are with the documents; no tests."""
    names = set(wheel.namelist())
    code = {
        file.relative_to(ROOT / "service").as_posix()
        for file in (ROOT / "service" / "livetally").rglob("*")
        if file.is_file() and file.suffix not in (".pyc", ".md")
    }
    assert code <= names
    assert not [name for name in names if name.endswith(".pyc")]
    assert {name.partition("/")[0] for name in names} == {
        "livetally",
        f"livetally-{livetally.__version__}.dist-info",
    }


def test_the_wheel_has_the_pages(wheel: zipfile.ZipFile) -> None:
    """As they were built, each byte."""
    built = [file for file in (FRONTEND / "dist").rglob("*") if file.is_file()]
    for file in built:
        packed = wheel.read(SHIPPED + file.relative_to(ROOT).as_posix())
        assert packed == file.read_bytes()
    if not built:
        pytest.skip("the pages aren't built: that needs Node")
    assert SHIPPED + "frontend/dist/index.html" in wheel.namelist()
    assert SHIPPED + "frontend/dist/js/livetally.js" in wheel.namelist()


def test_the_wheel_has_the_documents(wheel: zipfile.ZipFile) -> None:
    """Each document, the pictures in it, and the license, where its links expect it."""
    inside = {name.removeprefix(SHIPPED) for name in wheel.namelist() if name.startswith(SHIPPED)}
    apart = ("loadtest/results/", ".github/", "service/livetally/site/")
    documents = {
        name for name in _TRACKED if name.endswith(".md") and not name.startswith(apart)
    } | {".github/SECURITY.md", "LICENSE"}
    assert documents <= inside
    assert set(Documents().images) <= inside
    assert {each.path for each in Documents().all if each.path} <= inside


def test_what_it_says_of_itself(wheel: zipfile.ZipFile) -> None:
    """License, README, addresses, types; and that the SDK alone needs three packages."""
    info = f"livetally-{livetally.__version__}.dist-info"
    said = email.message_from_string(wheel.read(f"{info}/METADATA").decode())
    assert said["Version"] == livetally.__version__
    assert said["License-Expression"] == "Apache-2.0"
    notice = wheel.read(f"{info}/licenses/LICENSE").decode()
    assert "Apache License, Version 2.0" in notice
    assert "http://www.apache.org/licenses/LICENSE-2.0" in notice
    assert said.get_payload() == (ROOT / "README.md").read_text("utf-8")
    assert {each.partition(",")[0] for each in said.get_all("Project-URL", [])} == {
        *("Homepage", "Documentation", "Changelog", "Issues"),
    }
    assert "Typing :: Typed" in said.get_all("Classifier", [])
    needed = [each for each in said.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert {re.split("[^a-z-]", each)[0] for each in needed} == {"aiohttp", "msgspec", "rich"}
    assert set(said.get_all("Provides-Extra", [])) == {"server", "local"}


#: Where a version stands as one: `version = "…"`, `"version": "…"`, `VERSION=…`, `__version__ = …`.
_STATED = re.compile(r"""version[\W_]{1,6}v?(\d+\.\d+\.\d+)""", re.IGNORECASE)


def test_the_version_stands_in_one_place() -> None:
    """A release changes one line (and CHANGELOG's heading); all else reads it."""
    places = []
    for name in _TRACKED or ["service/livetally/__init__.py"]:
        if Path(name).suffix not in (".py", ".toml", ".json", ".js", ".yml", "") or "lock" in name:
            continue
        text = (ROOT / name).read_text("utf-8", errors="replace") if (ROOT / name).is_file() else ""
        places += [name for found in _STATED.findall(text) if found == livetally.__version__]
    assert places == ["service/livetally/__init__.py"]


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        ("serve", "psycopg", "server"),
        ("worker", "psycopg", "server"),
        ("migrate", "psycopg", "server"),
        ("export", "psycopg", "server"),
        ("keys list", "psycopg", "server"),
        ("demo", "psycopg", "local"),
        ("demo", "psutil", "local"),
    ],
)
def test_a_command_says_what_to_install(command: str, missing: str, extra: str) -> None:
    """Where an extra is missing: one line, and the exit status of what could not be done."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from livetally.cli import main; sys.exit(main({command.split()!r}))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr == (
        f"livetally: `livetally {command}` needs the package {missing}:"
        f" pip install 'livetally[{extra}]'\n"
    )


def test_a_command_waits_for_no_other() -> None:
    """The SDK's commands import nothing of the server, nor of each other: `base` is of all."""
    program = (
        "import sys; from livetally.cli import main\n"
        "try: main(['send', '--help'])\n"
        "finally: print(*(each for each in sys.modules if each.startswith('livetally.')))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    *_, imported = ran.stdout.splitlines()
    roles = {name.split(".")[1] for name in imported.split()}
    assert roles == {"base", "cli", "client", "schema"}
    assert "livetally.cli.server" not in imported.split()
