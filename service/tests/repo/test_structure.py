"""The shape of the code: what may import what, where the map leads, and no hidden state."""

import ast
import re
from pathlib import Path

import pytest

import livetally
from livetally.base import errors
from livetally.ops.metrics import Metrics

PACKAGE = Path(livetally.__file__).parent

#: From the top down. A module imports only from the lines below its own.
LAYERS = """
    __main__
    cli
    cli.archive cli.aws cli.keys cli.replay cli.worker
    cli.put cli.send cli.simulate cli.stats cli.tail
    cli.remote cli.server
    cli.command
    client
    client.threads
    client.asking
    client.live client.outbox
    client.wire
    client.errors client.topics
    demo
    demo_aws
    serve
    app worker
    docs
    asyncapi
    openapi
    archive formats key_admin pointer_history queue queue_admin restore rollup
    export
    manifest
    ledger objects
    bucket directory parquet schema
    contents dead_letters sqs
    inbox intake refusals
    message records
    aws_setup lines
    aws
    cable paths ws
    colour_socket
    channels colour_wires
    colour results actions
    collector item_socket views
    detail hosts websocket
    items
    ingest live processes sse stats page_views verify pages examples listener partitions
    connections topics history
    operations
    batcher hub edge
    limits
    auth
    admin_topic feed items_topic pointers totals_topic
    log_topic
    topic
    tracing
    handshake
    publisher viewer totals keys
    shapes store service_role
    asked database emf
    events local_aws probe
    described messages
    answers
    config masthead
    address ecs errors frames health item local logs loops metrics protocols workers sql __init__
"""
LAYER = {name: n for n, line in enumerate(LAYERS.strip().splitlines()) for name in line.split()}


def _name(parts: tuple[str, ...]) -> str:
    """What a module is called here: by its file; in `cli` and `client` by both, "cli.send"."""
    parts = parts[1:] if parts[:1] in (("protocols",), ("workers",)) and parts[1:] else parts
    return ".".join(parts) or "__init__"


def _place(file: Path) -> tuple[str, ...]:
    """A module's place in the package; a package's own is its folder's."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


#: The snippets of /examples are data: they are shown, and run by their readers.
FILES = {
    _name(_place(file)): file for file in PACKAGE.rglob("*.py") if file.parent.name != "snippets"
}
MODULES = {name: ast.parse(file.read_text("utf-8")) for name, file in FILES.items()}


def imported(name: str) -> set[str]:
    """The modules of ours that a module imports."""
    found: set[str] = set()
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.ImportFrom) and node.level:
            package = FILES[name].relative_to(PACKAGE).parent.parts
            base = package[: len(package) + 1 - node.level]
            module = (*base, *node.module.split(".")) if node.module else base
            ends = [()] if node.module else [(each.name,) for each in node.names]
            found |= {_name((*module, *end)) for end in ends}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("livetally"):
            found.add("an absolute import of livetally")
    return found - {"__version__"}


def test_every_module_has_its_place() -> None:
    """Each module is in one layer, and each name there is a module."""
    assert MODULES.keys() == LAYER.keys()


@pytest.mark.parametrize("name", LAYER)
def test_imports_go_one_way(name: str) -> None:
    """A module imports from the layers below its own only: no cycles, no short cuts upwards."""
    wrong = {each for each in imported(name) if LAYER.get(each, -1) <= LAYER[name]}
    assert not wrong


def test_the_map_leads_everywhere() -> None:
    """Every module has its words in the map, and what the map names is there.

    The modules of `cli` and `client` have theirs in these packages' own docstrings.
    """
    entry = re.compile(r"(?:^    |   ?)([a-z_]+)/? {2,}\S", re.MULTILINE)
    named = set(entry.findall(livetally.__doc__ or ""))
    pointed = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"-> (.*)", livetally.__doc__ or ""))))
    parts = {name for name in MODULES if "." in name}
    own = {"__init__", "__main__", "protocols", "workers"}
    assert MODULES.keys() - own - parts <= named | pointed
    assert (named | pointed) <= MODULES.keys()
    for name in parts:
        package, _, part = name.partition(".")
        assert re.search(
            rf"^    {part}  +\S", ast.get_docstring(MODULES[package], False) or "", re.M
        )


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
    """A refusal's message is its class's docstring; no two of them share a code."""
    known = [
        each for each in _tree(errors.LivetallyError) if each.__module__ == "livetally.base.errors"
    ]
    for error in known:
        assert error().message.endswith(".") or ":" in error().message, error
        assert 400 <= error.status <= 503, error
        assert (error.retry_after_s is not None) == (error.status == 503), error
    codes = [error.code for error in known]
    assert len(codes) == len(set(codes))
