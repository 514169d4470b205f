"""The map in livetally/__init__ is the territory: an event passes those files, in that order."""

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
#: Whoever reads the journey may pass over these: they are below everything.
GROUND = ("base/", "ops/", "schema/", "db/")


def journey() -> list[str]:
    """The files of the map."""
    return re.findall(r"^    ([a-z]+/[a-z_/]+) {2,}\S", livetally.__doc__ or "", re.MULTILINE)


class Follower:
    """Notes whose functions begin, from the first to the last."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.arrived = False

    def __call__(self, frame: FrameType, what: str, _: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if what != "call" or self.arrived or not file.is_relative_to(PACKAGE):
            return
        name = file.relative_to(PACKAGE).with_suffix("").as_posix()
        function = frame.f_code.co_name
        if self.files or (name, function) == FIRST:
            if name not in self.files:
                self.files.append(name)
            self.arrived = (name, function) == LAST


async def test_an_event_passes_the_files_of_the_map(service: Service) -> None:
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
    print(follower.files)
    assert 0
