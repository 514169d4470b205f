"""Tests stand on support, never on each other: each can be read, run, moved and deleted alone."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from service.tests.support.paths import ROOT

ROOMS = ("service", "terraform", "inspec", "loadtest", ".ci")
MAX_FILES = 12


def sources() -> Iterator[Path]:
    """Every Python file of the repo."""
    return (file for room in ROOMS for file in (ROOT / room).rglob("*.py"))


def imported(tree: ast.Module) -> set[str]:
    """All that a module imports, by its whole name: modules, and names in them."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return found


def of_tests(modules: set[str]) -> set[str]:
    """Those that are a test's, or in one."""
    ours = re.compile(r"(service|terraform|inspec)\..*\b(test_\w+|conftest)\b")
    return {module for module in modules if ours.match(module)}


def test_no_module_imports_a_test() -> None:
    """What two share is support, or a fixture of their folder's conftest.py."""
    imports = {file: imported(ast.parse(file.read_text("utf-8"))) for file in sources()}
    assert len(imports) > 300
    assert {file: found for file, modules in imports.items() if (found := of_tests(modules))} == {}


def test_an_import_of_a_test_would_be_noticed() -> None:
    """In each way that Python has for it."""
    for code in (
        "import service.tests.unit.test_a",
        "from service.tests.unit.test_a import b",
        "from service.tests.unit import test_a",
        "def f():\n    from service.tests.conftest import b",
    ):
        assert of_tests(imported(ast.parse(code))), code


def test_nobody_changes_where_python_looks() -> None:
    """Everything is imported as a package from the checkout, by tests and load runs alike."""
    changed = ".".join(("sys", "path"))  # not to be found here
    assert [file for file in sources() if changed in file.read_text("utf-8")] == []


def test_programs_are_interrupted_in_the_background_too() -> None:
    """A shell's `make test &` starts the tests with SIGINT ignored; what they start hears it."""
    code = (
        "import signal, subprocess, sys;"
        "signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "from service.tests.support.process import hear_interrupts; hear_interrupts();"
        "said = 'import signal; print(signal.getsignal(signal.SIGINT).__name__)';"
        "subprocess.run([sys.executable, '-c', said], check=True)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "default_int_handler"


def test_folders_of_support_stay_small() -> None:
    """At most so many files a folder; results of load runs are in one a suite."""
    folders = [
        folder
        for room in (ROOT / "service/tests/support", ROOT / "loadtest")
        for folder in (room, *room.rglob("*/"))
        if not {"__pycache__", "node_modules"} & set(folder.parts)
    ]
    files = {folder: sum(each.is_file() for each in folder.iterdir()) for folder in folders}
    assert {folder: n for folder, n in files.items() if n > MAX_FILES} == {}
