"""Atheris on every decoder of ours (service/tests/support/decoders.py).

Which branches an input reaches leads it to the next.

    make fuzz                                     20 s each
    make fuzz ARGS="--seconds 600 body frame"     some of them for longer

What it found on the way is kept in .fuzz/NAME and gone on from. What breaks a decoder is in
.fuzz/crash-…: put it into `SEEDS` with its mending. Exits 1 if anything was broken.
"""

import argparse
import re
import subprocess
import sys

import atheris

from loadtest.lib.paths import ROOT

KEPT = ROOT / ".fuzz"
with atheris.instrument_imports(include=["livetally", "loadtest.load"]):
    from service.tests.support.decoders import SEEDS, TARGETS

MAX_BYTES = 4_096


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
    atheris.Setup([sys.argv[0], *libfuzzer], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
