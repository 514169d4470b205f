"""GET /v1/verify: does everything agree? The log, the counts, and what this process shows.

Expensive, since it reads a project's whole log; for after an incident, and for tests.
"""

import msgspec
from aiohttp import web

from ..base.errors import NotFoundError
from ..live.hub import Hub
from ..schema.http import Difference, Verified
from ..schema.keys import Role
from ..web.auth import Auth
from ..web.middleware import json_response
from ..web.operation_docs import operation
from ..web.read_budgets import Reads

#: A log of 10 million events is read in seconds.
TIMEOUT_S = 120
#: The first differences are enough to know that there are some.
MAX_DIFFERENCES = 100


class VerifyQuery(msgspec.Struct):
    """The parameters of a request; without a project it is the key's own."""

    project: str | None = None


class _Found(msgspec.Struct):
    """What the query `verify` returns."""

    events: int
    total: int
    differences: list[Difference]


_found = msgspec.json.Decoder(_Found)


class Verify:
    """For admin keys: their own project, or the one that is named."""

    def __init__(self, auth: Auth, reads: Reads, hub: Hub) -> None:
        self._auth = auth
        self._reads = reads
        self._hub = hub

    @operation(
        "Does everything agree?",
        tag="Administration",
        key="admin",
        query=VerifyQuery,
        responses={200: Verified},
        errors=(NotFoundError,),
    )
    async def get_verify(self, request: web.Request) -> web.Response:
        """{"exact": true}, or the differences: between what, where, and the two counts.

        `hub` compares what viewers of this process were told; what a message still on its way
        would change is no difference.
        """
        key = await self._auth.admit(request, Role.ADMIN)
        project, name = key.project, key.project_name
        if "project" in request.query:
            name = request.query["project"]
            project = await self._auth.project_named(name)
        document = await self._reads.by(key).value(
            "verify", project, MAX_DIFFERENCES, timeout_s=TIMEOUT_S
        )
        found = _found.decode(document)
        shown = await self._hub.differences(project)
        exact = not found.differences and not shown
        return json_response(
            Verified(name, exact, found.events, found.total, found.differences, shown)
        )
