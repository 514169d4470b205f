"""The SQL, in the open: each ``-- name: x`` in a ``.sql`` file here starts one query."""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def query(name: str) -> str:
    """The text of a named query, its comments included. Raises KeyError."""
    return _queries()[name]


@cache
def _queries() -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(files(__name__).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".sql"):
            _, *parts = _NAME.split(file.read_text())
            found.update(zip(parts[::2], parts[1::2], strict=True))
    return found


def migrations() -> list[tuple[int, str, str]]:
    """(number, file name, text) of every migration, in order."""
    folder = files(__name__) / "migrations"
    found = [(int(f.name[:4]), f.name, f.read_text()) for f in folder.iterdir()]
    return sorted(found)
