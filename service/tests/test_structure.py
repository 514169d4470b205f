"""The shape of the code: what may import what, where the map leads, and no hidden state."""

import ast
import re
from pathlib import Path

import pytest

import livetally
from livetally import errors
from livetally.metrics import Metrics

PACKAGE = Path(livetally.__file__).parent

#: From the top down. A module imports only from the lines below its own.
LAYERS = """
    __main__
    cli
    demo
    serve
    app
    cable colour_socket paths
    channels colour_wires
    colour results actions
    ws
    collector item_socket views
    detail hosts websocket
    items
    ingest live sse stats page_views verify pages listener partitions
    connections topics
    auth batcher hub edge
    feed items_topic totals_topic
    topic
    publisher viewer totals keys
    store
    database events
    config ecs errors frames health item local logs metrics protocols sql __init__
"""
LAYER = {name: n for n, line in enumerate(LAYERS.strip().splitlines()) for name in line.split()}
MODULES = {file.stem: ast.parse(file.read_text("utf-8")) for file in PACKAGE.rglob("*.py")} | {
    "sql": ast.parse((PACKAGE / "sql" / "__init__.py").read_text("utf-8")),
    "protocols": ast.parse((PACKAGE / "protocols" / "__init__.py").read_text("utf-8")),
    "__init__": ast.parse((PACKAGE / "__init__.py").read_text("utf-8")),
}


def imported(tree: ast.Module) -> set[str]:
    """The modules of ours that a module imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            names = [node.module] if node.module else [each.name for each in node.names]
            found |= {name.removeprefix("protocols.").split(".")[0] for name in names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("livetally"):
            found.add("an absolute import of livetally")
    return found - {"__version__"}


def test_every_module_has_its_place() -> None:
    """Each module is in one layer, and each name there is a module."""
    assert MODULES.keys() == LAYER.keys()


@pytest.mark.parametrize("name", LAYER)
def test_imports_go_one_way(name: str) -> None:
    """A module imports from the layers below its own only: no cycles, no short cuts upwards."""
    wrong = {each for each in imported(MODULES[name]) if LAYER.get(each, -1) <= LAYER[name]}
    assert not wrong


def test_the_map_leads_everywhere() -> None:
    """Every module has its words in the map, and what the map names is there."""
    entry = re.compile(r"(?:^    |   ?)([a-z_]+)/? {2,}\S", re.MULTILINE)
    named = set(entry.findall(livetally.__doc__ or ""))
    pointed = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"-> (.*)", livetally.__doc__ or ""))))
    assert MODULES.keys() - {"__init__", "__main__", "protocols"} <= named | pointed | {"protocols"}
    assert (named | pointed) <= MODULES.keys()


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


@pytest.mark.parametrize("name", LAYER)
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
    """Whoever reads /metrics is told what each number is; names begin alike."""
    text = Metrics().render().decode()
    helps = dict(re.findall(r"^# HELP (\S+) ?(.*)$", text, re.MULTILINE))
    assert helps
    assert all(name.startswith("livetally_") for name in helps)
    assert all(helps.values())


def _tree(error: type[errors.LivetallyError]) -> list[type[errors.LivetallyError]]:
    return [error] + [each for child in error.__subclasses__() for each in _tree(child)]


def test_every_error_has_its_code_status_and_message() -> None:
    """A refusal's message is its class's docstring; no two of them share a code."""
    known = [each for each in _tree(errors.LivetallyError) if each.__module__ == "livetally.errors"]
    for error in known:
        assert error().message.endswith(".") or ":" in error().message, error
        assert 400 <= error.status <= 503, error
        assert (error.retry_after_s is not None) == (error.status == 503), error
    codes = [error.code for error in known]
    assert len(codes) == len(set(codes))
