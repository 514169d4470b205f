"""API keys: making, listing and revoking them. Only a key's hash is ever stored."""

import re
import secrets
from collections.abc import Sequence
from typing import Any

from ..base.errors import ConflictError, NotFoundError, Unprocessable
from ..db.database import Database
from ..schema.keys import ORIGIN, Role
from .auth import hash_key

_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


#: Beyond what any installation stores: a typo.
MAX_RATE = 10_000_000


#: A shorter key can be tried out.
MIN_BROUGHT, MAX_BROUGHT = 16, 256
_BROUGHT = re.compile(rf"[!-~]{{1,{MAX_BROUGHT}}}")


def _check_project(name: str) -> None:
    if not _PROJECT.fullmatch(name):
        shown = name if len(name) <= 63 else f"{name[:63]}…"
        raise Unprocessable(
            f"Project {shown!r}: use 1-63 of a-z, 0-9, - and _, beginning with a letter or digit."
        )


async def create_project(database: Database, name: str) -> None:
    """Make a project without keys. Raises Unprocessable for a bad name, ConflictError if it is
    there."""
    _check_project(name)
    if not await database.rows("create_project", name):
        raise ConflictError(f"There is a project {name!r} already.")


async def create(
    database: Database,
    project: str,
    role: Role,
    name: str,
    origins: Sequence[str] = (),
    rate: int | None = None,
    *,
    key: str | None = None,
    weak: bool = False,
) -> str:
    """Make a key (and its project, if new) and return it: the only time it can be seen.

    `rate` is in events a second. `key` is one that is brought along, for pages that can't all be
    edited; `weak` lets it be short. Raises Unprocessable for a bad name, origin, rate or key,
    ConflictError if a live key has that name, or any key ever was this one.
    """
    _check_project(project)
    if not 1 <= len(name) <= 63 or not name.isprintable():
        raise Unprocessable(f"Key name {name!r}: use 1-63 printable characters.")
    if origins and role is not Role.WRITE:
        raise Unprocessable("Only write keys can be bound to origins.")
    if rate is not None and not 1 <= rate <= MAX_RATE:
        raise Unprocessable(f"A rate is 1 to {MAX_RATE:,} events a second.")
    for origin in origins:
        if not ORIGIN.fullmatch(origin):
            raise Unprocessable(
                f"Origin {origin!r}: write it as a browser sends it, like https://shop.example."
            )
    if key is None:
        key = f"lt_{role}_{secrets.token_urlsafe(32)}"
    else:
        _check_brought(key, weak)
        if await database.value("is_key_taken", hash_key(key)):
            raise ConflictError("That key is in use already, or was: bring another one.")
    await database.rows("create_project", project)
    made = await database.rows(
        "create_key", project, name, role.value, hash_key(key), list(origins), rate
    )
    if not made:
        raise ConflictError(
            f"Project {project!r} has a key named {name!r} already: revoke it first."
        )
    return key


def _check_brought(key: str, weak: bool) -> None:
    if not _BROUGHT.fullmatch(key):
        raise Unprocessable(
            f"A key of your own has 1-{MAX_BROUGHT} printable ASCII characters, and no spaces."
        )
    if len(key) < MIN_BROUGHT and not weak:
        raise Unprocessable(
            f"A key of your own has {MIN_BROUGHT} characters at least: a shorter one can be"
            " guessed. Say that it may be weak to take it nevertheless."
        )


async def list_all(database: Database, project: str | None = None) -> list[dict[str, Any]]:
    """Every key's project, name, role, origins, rate, created_at and revoked_at; never the key."""
    return await database.rows("list_keys", project)


async def revoke(database: Database, project: str, name: str) -> None:
    """End a key: every process refuses it within 5 s. Raises NotFoundError."""
    if not await database.rows("revoke_key", project, name):
        raise NotFoundError(f"Project {project!r} has no live key named {name!r}.")
