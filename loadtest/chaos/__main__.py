"""Break everything, one thing at a time, under load and before open screens: `make chaos`.

    python -m loadtest.chaos                       every fault, in random order, 3 s each
    python -m loadtest.chaos --seconds 0.5 --screens 4 --only kill_redis,disorder
    python -m loadtest.chaos --rounds 5 --seed 7

After each fault the load stops, what has no answer is sent again, and then it must hold: nothing
acknowledged is lost, nothing is counted twice, every screen shows what Postgres holds within 2 s,
no process is stuck, memory is back. At the end the archive holds every event once. Exits 1 if not.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

from livetally.schema.keys import Role
from loadtest.chaos.faults import FAULTS, Fault, Impossible
from loadtest.chaos.ground import Ground, Screen, ground
from loadtest.lib.figures import machine
from service.tests.support.faults.load import Load
from service.tests.support.postgres import query, totals_in
from service.tests.support.waiting import until

EXACT_S = 2.0
#: A process may have grown by this since the start: the heap keeps what thousands of viewers took.
MEMORY_SLACK_MB = 120
BEFORE_S = 0.3


@dataclass
class Outcome:
    """What came of one fault."""

    fault: str
    what: str
    result: str = "skipped"
    why: str = ""
    acknowledged: int = 0
    refused: int = 0
    reconnects: int = 0
    exact_s: float = 0.0
    memory_mb: float = 0.0


class Chaos:
    """One installation, one load, and what they go through."""

    def __init__(self, ground: Ground, screens: int, seed: int) -> None:
        self._ground = ground
        self._load = Load(seed, ground.keys[Role.WRITE])
        self._screens = [
            Screen(ground.servers[n % len(ground.servers)].url, ground.keys[Role.READ])
            for n in range(screens)
        ]
        self._memory = {child.name: child.rss_mb for child in ground.children}

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Screens are open as long as the block runs."""
        tasks = [asyncio.create_task(screen.run()) for screen in self._screens]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def suffer(self, fault: Fault, hurt_s: float) -> Outcome:
        """A fault under load, and whether all is well after it."""
        outcome = Outcome(fault.__name__, (fault.__doc__ or "").strip())
        acked, refused = len(self._load.acked), len(self._load.refusals)
        reconnects = sum(screen.reconnects for screen in self._screens)
        try:
            async with self._load.running(*self._urls, http=2, websockets=1):
                await asyncio.sleep(BEFORE_S)
                await fault(self._ground, hurt_s)
                await asyncio.sleep(BEFORE_S)
            await self._check(outcome)
        except Exception as error:
            if isinstance(error, ExceptionGroup):  # of the load's clients, or the fault's own
                error = error.exceptions[0]
            if isinstance(error, Impossible):
                outcome.why = str(error)
                return outcome
            outcome.result, outcome.why = "FAILED", f"{type(error).__name__}: {error}"[:2000]
            traceback.print_exception(error)
            return outcome
        outcome.result = "as promised"
        outcome.acknowledged = len(self._load.acked) - acked
        outcome.refused = len(self._load.refusals) - refused
        outcome.reconnects = sum(screen.reconnects for screen in self._screens) - reconnects
        return outcome

    async def _check(self, outcome: Outcome) -> None:
        for child in self._ground.children:
            await child.until_ready()
        await self._load.settle(*self._urls, repeat=0.05)
        outcome.exact_s = await self._until_exact()
        await asyncio.to_thread(self._load.check_books, self._ground.database_url)
        await self._check_processes(outcome)

    async def _until_exact(self) -> float:
        """How long it took until every screen that is connected showed the truth."""
        # A screen that has to come back does so by its own pace: that isn't the server's time.
        await until(lambda: all(screen.viewer for screen in self._screens), 20)
        truth = totals_in(self._ground.database_url)
        began = time.monotonic()
        await until(
            lambda: all(screen.shows(truth) for screen in self._screens),
            EXACT_S,
            lambda: f"Postgres: {truth}; shown: {self._screens}",
        )
        return time.monotonic() - began

    async def _check_processes(self, outcome: Outcome) -> None:
        """Nobody is stuck, and memory is back."""
        async with aiohttp.ClientSession() as http:
            for child in self._ground.children:
                async with http.get(child.url + "/healthz") as answer:
                    assert answer.status == 200, f"{child.name}: {await answer.text()}"
                grown = child.rss_mb - self._memory[child.name]
                outcome.memory_mb = max(outcome.memory_mb, round(grown, 1))
                assert grown < MEMORY_SLACK_MB, f"{child.name} has grown by {grown:.0f} MB"

    async def check_archive(self) -> int:
        """The archive has every event once. Returns how many there are."""
        import duckdb

        pattern = f"{self._ground.archive}/**/*.parquet"

        def archived() -> list[str]:
            if not any(self._ground.archive.rglob("*.parquet")):
                return []
            rows = duckdb.sql(f"SELECT id FROM read_parquet('{pattern}')").fetchall()
            return [id for (id,) in rows]

        def logged() -> set[str]:
            return {id for (id,) in query(self._ground.database_url, "SELECT id FROM events")}

        await until(lambda: set(archived()) == logged(), 60, lambda: "archive and log differ")
        found = archived()
        assert len(found) == len(set(found)), "an event is in the archive twice"
        return len(found)

    @property
    def _urls(self) -> list[str]:
        return [server.url for server in self._ground.servers]


async def run(options: argparse.Namespace, folder: Path) -> tuple[list[Outcome], str]:
    faults = [f for f in FAULTS if not options.only or f.__name__ in options.only.split(",")]
    if not faults:
        names = ", ".join(f.__name__ for f in FAULTS)
        raise SystemExit(f"There is no fault {options.only!r}: use some of {names}")
    outcomes = []
    async with ground(folder) as made:
        chaos = Chaos(made, options.screens, options.seed)
        async with chaos.watched():
            for _ in range(options.rounds):
                random.shuffle(faults)
                for fault in faults:
                    print(f"{fault.__name__}…", end=" ", flush=True)
                    outcomes.append(await chaos.suffer(fault, options.seconds))
                    print(outcomes[-1].result, outcomes[-1].why, flush=True)
        archived = f"{await chaos.check_archive():,} events, each in the archive once"
    return outcomes, archived


def report(outcomes: list[Outcome], archived: str, on: str, options: argparse.Namespace) -> str:
    """The table that the docs keep."""
    head = (
        f"The last run of `make chaos`, {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}:"
        f" {on}.\n\n{options.screens} screens on two servers, load on both, each fault for"
        f" {options.seconds:g} s; {options.rounds} rounds, seed {options.seed}. *exact*: how long"
        " after the load stopped until every screen showed what Postgres holds (2 s allowed)."
        f" The worker was among those killed: {archived}.\n"
    )
    lines = [
        "| fault | result | acknowledged | refused | screens came back | exact after |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for each in outcomes:
        cells = [
            f"{each.acknowledged:,}",
            f"{each.refused:,}",
            f"{each.reconnects}",
            f"{each.exact_s:.2f} s",
        ]
        if each.result != "as promised":
            cells = [""] * 4
        result = each.result + (f": {each.why}" if each.result == "skipped" else "")
        lines.append(f"| {each.what} | {result} | {' | '.join(cells)} |")
    return head + "\n" + "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Break everything, and see that it heals.")
    parser.add_argument("--seconds", type=float, default=3, help="how long each fault lasts")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--screens", type=int, default=20, help="open dashboards")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--only", default="", help="names of faults, with commas")
    parser.add_argument("--results", default="", help="folder for chaos.md and chaos.json")
    options = parser.parse_args()
    random.seed(options.seed)
    print(f"seed {options.seed}")
    on = machine()
    with tempfile.TemporaryDirectory(
        prefix="livetally-chaos-", ignore_cleanup_errors=True
    ) as folder:
        outcomes, archived = asyncio.run(run(options, Path(folder)))
    text = report(outcomes, archived, on, options)
    print(f"\n{text}")
    if options.results:
        results = Path(options.results)
        results.mkdir(exist_ok=True, parents=True)
        (results / "chaos.md").write_text(text)
        (results / "chaos.json").write_text(
            json.dumps([asdict(each) for each in outcomes], indent=1) + "\n"
        )
    return int(any(each.result == "FAILED" for each in outcomes))


if __name__ == "__main__":
    sys.exit(main())
