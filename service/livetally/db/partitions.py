"""Day partitions are made ahead, by whichever process comes first."""

import asyncio

from ..base.errors import DatabaseUnavailable
from ..ops.health import Health
from .database import DAYS_AHEAD, Database

_INTERVAL_S = 600


async def run_partitions(database: Database, health: Health) -> None:
    """The loop; ends when cancelled. Three days ahead, it may fail for three days."""
    while True:
        try:
            await database.rows("roll_partitions", DAYS_AHEAD)
        except DatabaseUnavailable:
            health.trouble("partitions", "day partitions could not be made ahead")
            await asyncio.sleep(5)
        else:
            health.trouble("partitions", None)
            await asyncio.sleep(_INTERVAL_S)
