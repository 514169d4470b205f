"""The same server with the store left out: what a durable answer costs is the difference.

Every event is called accepted, after no wait at all; parsing, keys, batching and answering stay.
"""

import os
import sys

from aiohttp import web

from livetally.base.config import Config
from livetally.ingest.events import CheckedEvent
from livetally.ingest.store import Committed, Store
from livetally.server import process
from livetally.server.app import create_app


class NoStore(Store):
    """Takes everything and keeps nothing."""

    async def commit(self, events: list[CheckedEvent]) -> Committed:
        return Committed(False, list(range(len(events))), [], [], 0)


def create(config: Config) -> web.Application:
    return create_app(config, NoStore(config.database_url, 1))


def main() -> int:
    config = Config.from_environ(os.environ)
    return process.run(config, process.listen(config.host, config.port), make=create)


if __name__ == "__main__":
    sys.exit(main())
