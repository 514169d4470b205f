"""Atheris on every decoder of ours (service/tests/support/decoders.py).

Which branches an input reaches leads it to the next. What is slow breaks a decoder too: some are
also made long, by a part of it many times over, and may cost no more than its size is worth.

    make fuzz                                     20 s each
    make fuzz ARGS="--seconds 600 body frame"     some of them for longer

What it found on the way is kept in .fuzz/NAME and gone on from. What breaks a decoder is in
.fuzz/crash-…: put it into `SEEDS` with its mending. Exits 1 if anything was broken.
"""

import argparse
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable

import atheris

from loadtest.lib.paths import ROOT

KEPT = ROOT / ".fuzz"
with atheris.instrument_imports(include=["livetally", "loadtest.load"]):
    from service.tests.support.decoders import SEEDS, TARGETS

MAX_BYTES = 4_096
#: An input is made as long as this; each byte may then cost so much CPU, with the tracing.
LONG_BYTES = 16 * 1024
MOST_NS_A_BYTE = 30_000
#: One in so many inputs is tried long, which costs as much as a hundred others.
LONG_EVERY = 100


class TooSlow(Exception):
    """A decoder took more than `MOST_NS_A_BYTE`, each of three times."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Try to break every decoder.")
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], help="some only")
    parser.add_argument("--seconds", type=int, default=20, help="for each")
    parser.add_argument("--one", action="store_true", help="in this process")
    options = parser.parse_args()
    if options.one:
        fuzz(options.targets[0], options.seconds)
    return max([_run(name, options.seconds) for name in options.targets or TARGETS])


def _run(name: str, seconds: int) -> int:
    """In a process of its own: libFuzzer ends the one that it runs in."""
    command = [sys.executable, "-m", "loadtest.fuzz", "--one", "--seconds", str(seconds), name]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    runs = re.search(r"Done (\d+) runs", ran.stderr)
    if ran.returncode == 0 and runs:
        reached = re.findall(r"cov: (\d+)", ran.stderr)
        print(f"{name}: unbroken by {int(runs[1]):,} tries; branches reached: {reached[-1]}")
        return 0
    print(f"{name}: BROKEN\n{ran.stdout}\n{ran.stderr[-4_000:]}")
    return 1


def fuzz(name: str, seconds: int) -> None:
    """Does not return."""
    corpus = KEPT / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    libfuzzer = [
        *(f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}", "-timeout=10"),
        *(f"-artifact_prefix={KEPT}/", str(corpus)),
    ]
    atheris.Setup([sys.argv[0], *libfuzzer], _timed(TARGETS[name]))
    atheris.Fuzz()


def _timed(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    tries = 0

    def run(data: bytes) -> None:
        nonlocal tries
        tries += 1
        target(data)
        if data and tries % LONG_EVERY == 0:
            _refuse_slow(target, _long(data, random.Random(tries)))

    return run


def _long(data: bytes, choose: random.Random) -> bytes:
    start, end = sorted(choose.choices(range(len(data) + 1), k=2))
    middle = data[start:end] or data
    return data[:start] + middle * (LONG_BYTES // len(middle)) + data[end:]


def _refuse_slow(target: Callable[[bytes], None], text: bytes) -> None:
    allowed = MOST_NS_A_BYTE * len(text)
    for _ in range(3):  # what slows all of a machine passes
        began = time.process_time_ns()
        target(text)
        if time.process_time_ns() - began < allowed:
            return
    raise TooSlow(f"{len(text):,} bytes took over {allowed / 1e9:.1f} s of CPU")


if __name__ == "__main__":
    sys.exit(main())
