"""How finely the past is kept: minutes become hours, and hours days (workers.rollup).

To be asked after the counts were read: what is kept never becomes finer, so what is kept finely
enough now was so then.
"""

from datetime import UTC, datetime

from ..base.errors import Unprocessable
from ..web.read_budgets import Reader


async def check_buckets(reader: Reader, bucket: str, start: datetime) -> None:
    """Refuse buckets ('minute', 'hour', 'day') since `start` that are not kept any more.

    Raises Unprocessable, saying since when they are.
    """
    kept = (await reader.rows("rolled_up"))[0]
    until = {"minute": kept["minutes_until"], "hour": kept["hours_until"]}.get(bucket)
    if until is not None and start < until:
        larger = {"minute": "hour", "hour": "day"}[bucket]
        raise Unprocessable(
            f"Counts by the {bucket} are kept since {_said(until)}:"
            f" ask for a later `from`, or for bucket={larger}."
        )


async def check_edges(reader: Reader, *edges: datetime | None) -> None:
    """Refuse an edge of a period that lies within an hour or day that is kept whole only.

    Raises Unprocessable, saying what edges there can be.
    """
    kept = (await reader.rows("rolled_up"))[0]
    for edge in edges:
        for unit, until in (("day", kept["hours_until"]), ("hour", kept["minutes_until"])):
            if edge and until and edge < until and edge != _floor(edge, unit):
                raise Unprocessable(
                    f"Before {_said(until)} counts are kept by the {unit}:"
                    f" begin and end with a whole one (UTC), or later."
                )


def _floor(moment: datetime, unit: str) -> datetime:
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour.replace(hour=0) if unit == "day" else hour


def _said(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
