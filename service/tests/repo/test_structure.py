"""The house: what may import what, where the map leads, and no hidden state."""

import ast
import re
from pathlib import Path

import pytest

import livetally
from livetally.base import errors
from livetally.ops.metrics import Metrics

PACKAGE = Path(livetally.__file__).parent

#: What each package may import of the others. None imports itself by way of another.
MAY_IMPORT = {
    "cli": "archive base client db dev ops queue schema server web worker",
    "dev": "base db ops queue schema server site web",
    "worker": "api archive base db ops queue server web",
    "server": "api base compat db ingest live ops queue site web",
    "site": "base live schema web",
    "compat": "api base db ingest live ops schema web",
    "archive": "base db ops",
    "queue": "api base db ingest live ops schema web",
    "api": "base db ingest live ops schema web",
    "live": "base db ingest ops schema web",
    "ingest": "base db ops schema web",
    "web": "base db ops schema",
    "db": "base ops",
    "ops": "base schema",
    "client": "schema",
    "schema": "",
    "base": "",
}
MAX_FILES = 12

#: The snippets of /examples are data: they are shown, and run by their readers.
FILES = {
    file.relative_to(PACKAGE).with_suffix("").as_posix(): file
    for file in PACKAGE.rglob("*.py")
    if file.parent.name != "snippets"
}
MODULES = {name: ast.parse(file.read_text("utf-8")) for name, file in FILES.items()}


def imported(name: str) -> set[str]:
    """The packages of ours that a module imports."""
    folder = name.split("/")[:-1]
    found = set()
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = folder[: len(folder) + 1 - node.level]
            module = [*base, *(node.module or "").split(".")] if node.module else base
            found |= {module[0]} if module else {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("livetally"):
            found.add("an absolute import of livetally")
    return found - {"__version__", folder[0] if folder else ""}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_downwards(package: str) -> None:
    """A package imports those it may, all of them below it: no cycles, no short cuts."""
    order, allowed = list(MAY_IMPORT), set(MAY_IMPORT[package].split())
    modules = [name for name in MODULES if name.startswith(f"{package}/")]
    assert modules
    assert set().union(*map(imported, modules)) <= allowed
    assert all(order.index(each) > order.index(package) for each in allowed)


def test_every_module_is_in_a_package() -> None:
    """Nothing lies beside the packages but the map and `python -m livetally`."""
    assert {name.partition("/")[0] for name in MODULES} == {*MAY_IMPORT, "__init__", "__main__"}


def test_folders_stay_small() -> None:
    """At most so many files a folder; migrations only ever become more."""
    folders = {file.parent for file in PACKAGE.rglob("*") if file.suffix in (".py", ".sql", ".css")}
    folders -= {PACKAGE / "db/sql/migrations", PACKAGE / "site/examples/snippets"}
    crowded = {
        folder.name: files
        for folder in folders
        if (files := sum(each.is_file() for each in folder.iterdir())) > MAX_FILES
    }
    assert not crowded


def test_public_names_are_told_apart() -> None:
    """No two public classes share a name: a reader who searches for one finds one."""
    places: dict[str, list[str]] = {}
    for name, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name)
    assert not {name: files for name, files in places.items() if len(files) > 1}


def _named(text: str) -> set[str]:
    """The entries of a map: the word that begins a line of its block."""
    return set(re.findall(r"^ *([a-z_0-9/]+?)/? {2,}\S", text, re.MULTILINE))


def test_the_map_leads_everywhere() -> None:
    """The package's docstring names its packages, in the order of their layers, and files that are
    there; each package's own names each of its files."""
    text = livetally.__doc__ or ""
    packages = re.findall(r"^    ([a-z]+) {2,}\S", text, re.MULTILINE)
    assert packages == list(MAY_IMPORT)
    assert {each for each in _named(text) if "/" in each} <= MODULES.keys()
    for name, tree in MODULES.items():
        if name.endswith("/__init__"):
            folder = FILES[name].parent
            there = {
                each.stem
                for each in folder.iterdir()
                if (each.suffix == ".py" and each.stem != "__init__")
                or (each.is_dir() and (each / "__init__.py").exists())
            }
            named = _named(ast.get_docstring(tree, clean=False) or "")
            assert there <= named, name


_MUTATORS = re.compile(
    "add|append|appendleft|clear|discard|extend|insert|pop|popitem|popleft|remove|setdefault|update"
)
_STATEFUL = re.compile("deque|defaultdict|OrderedDict|Event|Lock|Queue|Semaphore|local")


def _assigned(tree: ast.Module) -> set[str]:
    """The names that a module gives a value at import."""
    names = set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def _changes(tree: ast.Module) -> set[str]:
    """What changes a value that was made at import, or makes one that is there to be changed."""
    names, found = _assigned(tree), set()
    for node in ast.walk(tree):
        match node:
            case ast.Global(names=changed):
                found |= set(changed)
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                found |= {name} & names
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attribute)):
                found |= {name} & names if _MUTATORS.fullmatch(attribute) else set()
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.Call):
            called = ast.unparse(value.func).rpartition(".")[2]
            found |= {called} if _STATEFUL.fullmatch(called) else set()
    return found


@pytest.mark.parametrize("name", MODULES)
def test_no_module_has_state(name: str) -> None:
    """What is made at import is never changed: two services in one process share nothing."""
    assert not _changes(MODULES[name])


def test_state_would_be_noticed() -> None:
    """The check above sees the usual ways of keeping state in a module."""
    for code in (
        "x = 1\ndef f():\n    global x\n    x = 2",
        "x = {}\ndef f():\n    x['a'] = 1",
        "x: list[int] = []\ndef f():\n    x.append(1)",
        "x = deque()",
        "x = asyncio.Event()",
    ):
        assert _changes(ast.parse(code)), code
    assert not _changes(ast.parse("X = {'a': 1}\ndef f(x):\n    x['a'] = X['a']"))


def test_every_metric_has_help() -> None:
    """Whoever reads /metrics is told what each number is; names begin alike, or as Prometheus has
    them of every process."""
    text = Metrics().render().decode()
    helps = dict(re.findall(r"^# HELP (\S+) ?(.*)$", text, re.MULTILINE))
    assert helps
    assert all(name.startswith(("livetally_", "process_")) for name in helps)
    assert all(helps.values())


def _tree(error: type[errors.LivetallyError]) -> list[type[errors.LivetallyError]]:
    return [error] + [each for child in error.__subclasses__() for each in _tree(child)]


def test_every_error_has_its_code_status_and_message() -> None:
    """A refusal's message is its class's docstring; no two of them share a code, except
    those that say in different places that too much comes."""
    known = [
        each for each in _tree(errors.LivetallyError) if each.__module__ == "livetally.base.errors"
    ]
    for error in known:
        assert error().message.endswith(".") or ":" in error().message, error
        assert 400 <= error.status <= 503, error
        assert (error.retry_after_s is not None) == (error.status == 503), error
    codes = [error.code for error in known if error.code != errors.Overloaded.code]
    assert len(codes) == len(set(codes))
