"""`make bench`: what this machine does, from one run. README.md here says how to read it."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from loadtest.bench.fanout import delays, frames, idle, most_frames
from loadtest.bench.growth import growth
from loadtest.bench.ingest import batches, postgres_alone, single_events
from loadtest.bench.parsing import parsing
from loadtest.bench.peers import peers
from loadtest.lib.client import command
from loadtest.lib.figures import Figures, machine
from loadtest.lib.paths import RESULTS
from loadtest.lib.stand import stand


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure Livetally on this machine.")
    parser.add_argument("--quick", action="store_true", help="under a minute, less exact")
    parser.add_argument("--only", default="", help="parts, with commas: " + ", ".join(_parts()))
    parser.add_argument("--no-save", action="store_true", help="leave results/ as it is")
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(",")))
    if unknown := only - _parts().keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")

    started = time.monotonic()
    described = machine()
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="livetally-bench-") as name:
        folder = Path(name)
        _say(f"{described}; the client is {Path(command(folder)[-1]).name}")
        with stand(folder) as servers:
            for part, (run, quick, full) in _parts().items():
                if not only or part in only:
                    _say(f"{time.monotonic() - started:4.0f} s  {part}: {run.__doc__}")
                    run(servers, figures, *(quick if arguments.quick else full))
    print(f"\n{figures.as_table()}\n")
    _say(f"{time.monotonic() - started:.0f} s; after each part Postgres held what was acknowledged")
    if not arguments.no_save and not only:
        figures.save(RESULTS / "bench", described + (", --quick" if arguments.quick else ""))
        _say("saved in loadtest/results/bench/")
    return 0


def _parts() -> dict[str, tuple]:
    """Each part with its (rounds, seconds a round), quick and full."""
    return {
        "single": (single_events, (3, 1), (6, 3)),
        "batches": (batches, (2, 1), (4, 3)),
        "postgres": (postgres_alone, (1, 1), (3, 2)),
        "frames": (frames, (1, 1), (3, 3)),
        "most": (most_frames, (1, 1), (3, 3)),
        "delays": (delays, (1, 2), (3, 3)),
        "idle": (idle, (5,), (10,)),
        "peers": (peers, (1, 1), (2, 3)),
        "parsing": (parsing, (1,), (3,)),
        "growth": (growth, (1, 100_000), (2, 10_000_000)),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
