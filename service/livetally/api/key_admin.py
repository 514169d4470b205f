"""/admin/v1/projects and /admin/v1/keys, for who runs the installation.

GET    /admin/v1/projects                {"projects":[…],"next"}; ?limit=100&after=name
POST   /admin/v1/projects                {"name"}
GET    /admin/v1/keys                    the newest first; ?project=&limit=100&before=id
POST   /admin/v1/keys                    {"project","role","name","origins","rate"}; the key, once
DELETE /admin/v1/keys/{project}/{name}   ends a key everywhere within 5 s
"""

from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import hdrs, web
from msgspec import Meta

from ..base.errors import (
    BadRequest,
    ConflictError,
    MalformedJson,
    NotFoundError,
    RequestTimeout,
    TooLarge,
    Unprocessable,
    UnsupportedMediaType,
)
from ..db.database import Database
from ..ingest.http import read_body
from ..schema.http import Count
from ..schema.keys import Role
from ..web import keys
from ..web.auth import Auth
from ..web.middleware import json_response
from ..web.operation_docs import operation
from ..web.params import body_as, query_of

#: A page of a list has this many at most.
MAX_LISTED = 1_000
#: A key is bound to this many origins at most: all of them are read with it.
MAX_ORIGINS = 50

_Limit = Annotated[int, Meta(ge=1, le=MAX_LISTED)]
_BODY = (MalformedJson, BadRequest, RequestTimeout, TooLarge, UnsupportedMediaType, Unprocessable)


class Project(msgspec.Struct, frozen=True):
    """A project, and how many live keys it has."""

    name: str
    created_at: datetime
    keys: Count


class Projects(msgspec.Struct, frozen=True):
    """Projects by name. `next` is the `after` of the next page; null: there is none."""

    projects: list[Project]
    next: str | None


class ProjectName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A project to make."""

    name: str


class ListedKey(msgspec.Struct, frozen=True):
    """What is known of a key; the key itself is not."""

    id: int
    project: str
    name: str
    role: Role
    origins: list[str]
    rate: int | None
    created_at: datetime
    revoked_at: datetime | None


class ListedKeys(msgspec.Struct, frozen=True):
    """Keys, the newest first. `next` is the `before` of the next page; null: there is none."""

    keys: list[ListedKey]
    next: int | None


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to make, and its project where that is new. `rate`: events a second; null: any.

    `key` is one that pages hold already; `weak` lets it have less than 16 characters."""

    project: str
    role: Role
    name: str
    origins: Annotated[list[str], Meta(max_length=MAX_ORIGINS)] = []
    rate: int | None = None
    key: str | None = None
    weak: bool = False


class MadeKey(msgspec.Struct, frozen=True):
    """A new key: the only time it can be seen."""

    project: str
    name: str
    role: Role
    key: str


class RevokedKey(msgspec.Struct, frozen=True):
    """A key that was ended."""

    project: str
    name: str


class ProjectsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """The parameters of a request for projects."""

    after: str = ""
    limit: _Limit = 100
    api_key: str | None = None


class KeysQuery(msgspec.Struct, forbid_unknown_fields=True):
    """The parameters of a request for keys."""

    project: str | None = None
    before: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    limit: _Limit = 100
    api_key: str | None = None


class KeyAdmin:
    """For admin keys. Raises what Auth does."""

    def __init__(self, auth: Auth, database: Database) -> None:
        self._auth = auth
        self._database = database

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/admin/v1/projects", self.list_projects),
            web.post("/admin/v1/projects", self.make_project),
            web.get("/admin/v1/keys", self.list_keys),
            web.post("/admin/v1/keys", self.make_key),
            web.delete("/admin/v1/keys/{project}/{name}", self.revoke_key),
        ]

    @operation(
        "All projects",
        tag="Administration",
        key="admin",
        query=ProjectsQuery,
        responses={200: Projects},
        errors=(BadRequest,),
    )
    async def list_projects(self, request: web.Request) -> web.Response:
        await self._auth.admit(request, Role.ADMIN)
        query = query_of(request, ProjectsQuery)
        rows = await self._database.rows("list_projects", query.after, query.limit + 1)
        found = msgspec.convert(rows[: query.limit], list[Project])
        return json_response(Projects(found, found[-1].name if len(rows) > len(found) else None))

    @operation(
        "Make a project",
        tag="Administration",
        key="admin",
        body={"application/json": ProjectName},
        responses={201: ProjectName},
        errors=(*_BODY, ConflictError),
    )
    async def make_project(self, request: web.Request) -> web.Response:
        await self._auth.admit(request, Role.ADMIN)
        asked = body_as(await read_body(request), ProjectName)
        await keys.create_project(self._database, asked.name)
        return json_response(asked, 201)

    @operation(
        "All keys, without their secrets",
        tag="Administration",
        key="admin",
        query=KeysQuery,
        responses={200: ListedKeys},
        errors=(BadRequest,),
    )
    async def list_keys(self, request: web.Request) -> web.Response:
        await self._auth.admit(request, Role.ADMIN)
        query = query_of(request, KeysQuery)
        rows = await self._database.rows(
            "key_page", query.project, query.before or 2**31 - 1, query.limit + 1
        )
        found = msgspec.convert(rows[: query.limit], list[ListedKey])
        return json_response(ListedKeys(found, found[-1].id if len(rows) > len(found) else None))

    @operation(
        "Make a key",
        tag="Administration",
        key="admin",
        body={"application/json": NewKey},
        responses={201: MadeKey},
        errors=(*_BODY, ConflictError),
    )
    async def make_key(self, request: web.Request) -> web.Response:
        """The answer holds the key, and is the only one that ever does: it is not stored."""
        await self._auth.admit(request, Role.ADMIN)
        asked = body_as(await read_body(request), NewKey)
        key = await keys.create(
            self._database,
            asked.project,
            asked.role,
            asked.name,
            asked.origins,
            asked.rate,
            key=asked.key,
            weak=asked.weak,
        )
        response = json_response(MadeKey(asked.project, asked.name, asked.role, key), 201)
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        return response

    @operation(
        "Revoke a key",
        tag="Administration",
        key="admin",
        responses={200: RevokedKey},
        errors=(NotFoundError, ConflictError),
    )
    async def revoke_key(self, request: web.Request) -> web.Response:
        """Every process refuses it within 5 s. The key that asks can't end itself."""
        own = await self._auth.admit(request, Role.ADMIN)
        project, name = request.match_info["project"], request.match_info["name"]
        if (project, name) == (own.project_name, own.name):
            raise ConflictError("This is the key that you ask with: revoke it with another one.")
        if "\0" in project + name:
            raise NotFoundError("No key has the character U+0000 in its name.")
        await keys.revoke(self._database, project, name)
        return json_response(RevokedKey(project, name))
