"""Color tracking over HTTP. (Its pushes leave by `websocket`.)

    GET /v1/stats?action=click      {"stats":[{"action":"click","color":"red","count":12},…]}
    GET /admin/v1/stats             {"stats":[{"api_key":"shop","action":"hover","counts":[…]},…]}

The latter is for admin keys: of every project, by its name, a hover and a click entry.
"""

import asyncio
import math
import time
from collections.abc import Mapping

from aiohttp import web

from ...base.config import MAX_SUBJECTS
from ...base.errors import BadRequest
from ...ingest.batcher import Batcher
from ...ingest.events import parse
from ...live.topics.admin import ALL
from ...schema.compat import AdminStats, ColorCount, ColorStats, ColorStored, ProjectCounts
from ...schema.http import KeyQuery
from ...schema.keys import Role
from ...web.auth import Auth, Key
from ...web.middleware import json_response
from ...web.operation_docs import operation
from ...web.rate_limits import Payer
from ...web.read_budgets import Reads
from ..actions import Shape, in_order
from ..rejections import rejected

#: The actions that are pushed; any other name can be sent and asked for.
ACTIONS = ("hover", "click")
#: Its page draws its slices in this order, and fills them in the order of the answer.
FIRST = ("green", "red", "blue", "yellow")
#: How soon an admin's connection learns of a new project.
PROJECTS_S = 1.0


def listed(action: str, counts: Mapping[str, int]) -> list[ColorCount]:
    """An action's whole list."""
    return [ColorCount(action, color, counts[color]) for color in in_order(counts, FIRST)]


class Colors:
    """What format 1 asks, and what is asked for its websockets."""

    def __init__(self, auth: Auth, batcher: Batcher, reads: Reads) -> None:
        self._auth = auth
        self._batcher = batcher
        self._reads = reads
        self._projects: dict[int, str] = {}
        self._projects_at = -math.inf
        self._asking = asyncio.Lock()

    async def take(self, payer: Payer, event: bytes) -> web.Response:
        """Store an event. Raises what `Batcher.take` does."""
        result = await self._batcher.take(parse(event, payer.key.project), payer)
        if result.rejected:
            return rejected(result, Shape.COLOR)
        ack = result.as_ack()
        return json_response(
            ColorStored("Event stored successfully.", ack.accepted, ack.duplicates, ack.rejected)
        )

    async def get_stats(self, request: web.Request) -> web.Response:
        key = await self._auth.admit(request, Role.READ)
        return json_response(ColorStats(await self.list_of(key, request.query["action"])))

    async def list_of(self, key: Key, action: str) -> list[ColorCount]:
        """Raises BadRequest or DatabaseUnavailable."""
        if not action or "\0" in action:
            raise BadRequest("Bad Request: `action` must be a name")
        asked = (key.project, action, MAX_SUBJECTS)
        rows = await self._reads.by(key).rows("top_subjects", *asked)
        return listed(action, {row["subject"]: row["total"] for row in rows})

    @operation(
        "All projects' counts, format 1",
        tag="Administration",
        key="admin",
        query=KeyQuery,
        responses={200: AdminStats},
    )
    async def get_admin_stats(self, request: web.Request) -> web.Response:
        key = await self._auth.admit(request, Role.ADMIN)
        projects = await self._ask_for_projects()
        counts: dict[tuple[int, str], dict[str, int]] = {
            (project, action): {} for project in projects for action in ACTIONS
        }
        asked = (list(ACTIONS), MAX_SUBJECTS)
        for row in await self._reads.by(key).rows("subjects_of_all", *asked):
            # A project that was made meanwhile will be there the next time.
            if (cell := counts.get((row["project"], row["type"]))) is not None:
                cell[row["subject"]] = row["total"]
        stats = [
            ProjectCounts(projects[project], action, listed(action, cell))
            for (project, action), cell in counts.items()
        ]
        return json_response(AdminStats(stats))

    async def projects(self) -> dict[int, str]:
        """Every project's name, `PROJECTS_S` old at most: asked once for all who ask."""
        async with self._asking:
            if time.monotonic() - self._projects_at >= PROJECTS_S:
                self._projects = await self._ask_for_projects()
                self._projects_at = time.monotonic()
        return self._projects

    async def _ask_for_projects(self) -> dict[int, str]:
        return {row["id"]: row["name"] for row in await self._reads.of(ALL).rows("projects")}
