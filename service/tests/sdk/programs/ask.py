"""Ask each address for something, with memory measured: by how much its peak grew, in MiB."""

import asyncio
import resource
import sys

from livetally.client import AsyncClient, Unavailable, totals


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def ask(url: str) -> None:
    async with AsyncClient(url, "a key", timeout_s=0.1) as client:
        for work in (client.total("click", "red"), client.send([{"type": "t", "subject": "s"}])):
            try:
                await work
            except Unavailable as error:
                sys.stderr.write(f"{error}\n")
        async with client.live(totals("click")) as live:
            sys.stderr.write(f"{await anext(live)}\n")


async def main() -> None:
    before = None
    for url in sys.argv[1:]:
        await ask(url)
        before = before or peak_mib()  # the first one warms up
    sys.stdout.write(str(peak_mib() - (before or 0)))


asyncio.run(main())
