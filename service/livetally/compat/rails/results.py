"""Format 2's results: every colour of an action with its amount, over HTTP and the cable.

GET /v1/events?action_name=click    {"results":[{"action":"click","color":"blue","amount":8},…]}
GET /v1/events                      {"results":[{"color":"blue","amount":9},…]}, over all actions
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ...base.config import MAX_SUBJECTS
from ...base.errors import BadRequest
from ...db.database import Database
from ...schema.compat import ActionQuery, RailsVersion, Results
from ...web.auth import Auth
from ...web.keys import Role
from ...web.middleware import json_response
from ...web.operation_docs import operation


def results(action: str | None, counts: Mapping[str, int]) -> dict[str, Any]:
    """The whole list, by colour."""
    named = {} if action is None else {"action": action}
    return {
        "results": [{**named, "color": color, "amount": counts[color]} for color in sorted(counts)]
    }


class RailsResults:
    """What format 2 asks over HTTP."""

    def __init__(self, auth: Auth, database: Database) -> None:
        self._auth = auth
        self._database = database

    @operation(
        "Counts by colour, format 2",
        tag="Older",
        key="read",
        path={"version": RailsVersion},
        query=ActionQuery,
        responses={200: Results},
        errors=(BadRequest,),
    )
    async def get_events(self, request: web.Request) -> web.Response:
        """GET /v1/events, /v2/events and /v3/events."""
        key = await self._auth.admit(request, Role.READ)
        # Rails takes an empty parameter for none.
        action = request.query.get("action_name") or None
        if action is None:
            rows = await self._database.rows("subjects_over_types", key.project, MAX_SUBJECTS)
        elif "\0" in action:
            raise BadRequest("No event has the character U+0000: it can't be stored.")
        else:
            rows = await self._database.rows("top_subjects", key.project, action, MAX_SUBJECTS)
        return json_response(results(action, {row["subject"]: row["total"] for row in rows}))
