"""The map in livetally/__init__ is the territory: an event passes those files, and no others."""

import asyncio
import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import livetally
from service.tests.support.server import Service

PACKAGE = Path(livetally.__file__).parent
FIRST, LAST = ("ingest/http", "post_events"), ("live/viewer", "flush")
#: What everything stands on is on no map.
GROUND = ("base/", "ops/", "schema/", "db/")
#: What else runs at the same time: none of it brings this event to a viewer of this process.
OTHER_LOOPS = {"publisher", "listener", "processes", "connections", "resync", "partitions", "cable"}
#: By the map too, but for viewers of other processes: they have the event from there.
ELSEWHERE = {"live/publisher", "live/listener"}
MOST_FILES = 12


class Follower:
    """Notes whose functions are called from the first to the last: in the request until its event
    waits for the commit, then in the loops that commit and tell."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self._request: asyncio.Task[Any] | None = None
        self._arrived = False

    def __call__(self, frame: FrameType, what: str, _: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if what != "call" or self._arrived or not file.is_relative_to(PACKAGE):
            return
        name = file.relative_to(PACKAGE).with_suffix("").as_posix()
        task = asyncio.current_task()
        if (name, frame.f_code.co_name) == FIRST:
            self._request = task
        if self._request is None or (task is not None and task.get_name() in OTHER_LOOPS):
            return
        if task is self._request and "ingest/store" in self.files:
            return  # the answer to the sender
        self.files |= set() if name.startswith(GROUND) else {name}
        self._arrived = (name, frame.f_code.co_name) == LAST


async def test_an_event_passes_the_files_of_the_map(service: Service) -> None:
    """From the handler of its POST to the viewer's transport, with nothing of the compatibility
    APIs on its way, and no more files than a newcomer reads in an hour."""
    follower = Follower()
    async with service.live() as viewer:
        await viewer.subscribe(1, {"totals": "click"})
        await service.post({"type": "click", "subject": "warm"})
        await viewer.receive()
        sys.setprofile(follower)
        try:
            await service.post({"type": "click", "subject": "red"})
            await viewer.receive()
        finally:
            sys.setprofile(None)
    text = livetally.__doc__ or ""
    mapped = set(re.findall(r"^    ([a-z]+/[a-z_/]+) {2,}\S", text, re.MULTILINE))
    passed = follower.files - ELSEWHERE
    assert passed == mapped - ELSEWHERE
    assert len(passed) <= MOST_FILES
