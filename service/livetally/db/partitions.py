"""Day partitions are made ahead, by whichever process comes first."""

from ..base.backoff import Backoff
from ..base.errors import DatabaseUnavailable
from ..ops.health import Health, Heartbeat
from .database import DAYS_AHEAD, Database

_INTERVAL_S = 600
_FIRST_RETRY_S, _LONGEST_RETRY_S = 5, 60


async def run_partitions(database: Database, health: Health, heart: Heartbeat) -> None:
    """The loop; ends when cancelled. Three days ahead, it may fail for three days."""
    backoff = Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S)
    while True:
        try:
            await database.rows("roll_partitions", DAYS_AHEAD)
        except DatabaseUnavailable:
            health.trouble("partitions", "day partitions could not be made ahead")
            await heart.rest(backoff.next_s())
        else:
            backoff.reset()
            health.trouble("partitions", None)
            await heart.rest(_INTERVAL_S)
