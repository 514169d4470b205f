"""Results of color tracking with Rails: every color with its amount, over HTTP and the cable.

GET /v1/events?action_name=click    {"results":[{"action":"click","color":"blue","amount":8},…]}
GET /v1/events                      the same, each total over clicks and hovers
"""

from collections import Counter
from collections.abc import Mapping

from aiohttp import web

from ...base.config import MAX_SUBJECTS
from ...base.errors import BadRequest
from ...schema.compat import ActionQuery, Amount, RailsVersion, Results
from ...schema.keys import Role
from ...web.auth import Auth, Key
from ...web.middleware import json_response
from ...web.operation_docs import operation
from ...web.read_budgets import Reads
from ..actions import in_order

#: Its page draws its slices in this order, and fills them by place.
FIRST = ("blue", "green", "red", "yellow")
#: What a color's total is of when no action is named.
ACTIONS = ("click", "hover")


def results(action: str, counts: Mapping[str, int]) -> Results:
    """An action's whole list."""
    return over_actions({action: counts})


def over_actions(counts: Mapping[str, Mapping[str, int]]) -> Results:
    """Every color's total of these actions; its `action` is the one that it has most of."""
    totals: Counter[str] = Counter()
    for each in counts.values():
        totals.update(each)
    return Results(
        [
            Amount(
                action=max(counts, key=lambda action: counts[action].get(color, 0)),
                color=color,
                amount=totals[color],
            )
            for color in in_order(totals, FIRST)
        ]
    )


class RailsResults:
    """What format 2 asks over HTTP."""

    def __init__(self, auth: Auth, reads: Reads) -> None:
        self._auth = auth
        self._reads = reads

    @operation(
        "Counts by color, format 2",
        tag="Compatibility",
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
        if action and "\0" in action:
            raise BadRequest("No event has the character U+0000: it can't be stored.")
        actions = (action,) if action else ACTIONS
        counts = {each: await self._counts(key, each) for each in actions}
        return json_response(over_actions(counts))

    async def _counts(self, key: Key, action: str) -> dict[str, int]:
        asked = (key.project, action, MAX_SUBJECTS)
        rows = await self._reads.by(key).rows("top_subjects", *asked)
        return {row["subject"]: row["total"] for row in rows}
