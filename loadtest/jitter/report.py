"""What a run of the jitter test amounts to: figures, what is required of them, and a plot."""

import math
from collections import Counter
from itertools import pairwise
from typing import Any

from loadtest.jitter.run import MODES, Run

#: The best that was published at 100 %, with 10,000 viewers on a larger machine.
REQUIRED_P95_S = 1.97
REQUIRED_P99_S = 4.58
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


def summary(run: Run) -> dict[str, Any]:
    """The figures of a run; `failures` says what is not as required."""
    received = [each for account in run.accounts for each in account.received]
    unique = sum(len(set(each)) for each in received)
    reconnects = [each for account in run.accounts for each in account.reconnects]
    took = [ns for account in run.accounts for ns in account.took]
    beyond = [ns for account in run.accounts for ns in account.beyond]
    figures: dict[str, Any] = {
        "mode": run.mode,
        "viewers": run.plan.viewers,
        "messages": run.plan.messages,
        "rate": run.plan.rate,
        "cut_every_s": run.plan.cut_every_s,
        "offline_s": run.plan.offline_s,
        "delivery_percent": 100 * unique / (run.plan.viewers * run.plan.messages),
        "lost": run.plan.viewers * run.plan.messages - unique,
        "duplicates": sum(map(len, received)) - unique,
        "disorder_in_slot": sum(_disorder_in_slots(each, run) for each in received),
        "disorder_of_sender": sum(a > b for each in received for a, b in pairwise(each)),
        "slots": len({slot for slot, _ in run.places.values()}),
        "took_s": _quantiles(took),
        "beyond_offline_s": _quantiles(beyond),
        "reconnects": dict(Counter(each.cause for each in reconnects)),
        "reconnect_s": _quantiles([each.took for each in reconnects]),
        "most_reconnects_in_a_second": max(per_second(run).values(), default=0),
        "errors": dict(sum((Counter(account.errors) for account in run.accounts), Counter())),
        "resent": run.resent,
        "server_memory_mb": [round(mb, 1) for mb in run.memory_mb],
        "marks": [[round((at - run.began) / 1e9, 2), what] for at, what in run.marks],
        "reconnects_by_second": [[at, n] for at, n in sorted(per_second(run).items())],
    }
    figures["failures"] = failures(figures)
    return figures


def failures(figures: dict[str, Any]) -> list[str]:
    """What is required, and isn't so."""
    beyond = figures["beyond_offline_s"]
    checks = {
        f"{figures['lost']} deliveries are missing": not figures["lost"],
        f"{figures['duplicates']} came twice": not figures["duplicates"],
        f"{figures['disorder_in_slot']} came out of order": not figures["disorder_in_slot"],
        f"p95 is {beyond['p95']:.2f} s beyond the offline time": beyond["p95"] < REQUIRED_P95_S,
        f"p99 is {beyond['p99']:.2f} s beyond the offline time": beyond["p99"] < REQUIRED_P99_S,
    }
    return [what for what, fine in checks.items() if not fine]


def _disorder_in_slots(received: list[int], run: Run) -> int:
    """How often an event came after a later one of its slot."""
    last: dict[int, int] = {}
    wrong = 0
    for n in received:
        slot, seq = run.places[n]
        wrong += seq < last.get(slot, 0)
        last[slot] = seq
    return wrong


def per_second(run: Run) -> Counter[int]:
    """Reconnects in each second of the run."""
    return Counter(
        int((each.at - run.began) // 1_000_000_000)
        for account in run.accounts
        for each in account.reconnects
    )


def _quantiles(times_ns: list[int]) -> dict[str, float]:
    times = sorted(times_ns)
    return {
        name: round(times[math.ceil(q * len(times)) - 1] / 1e9, 4) if times else math.nan
        for name, q in QUANTILES.items()
    }


def plot(figures: dict[str, Any], height: int = 8) -> str:
    """Reconnects over time, a column a second, with what was done to the servers below."""
    counts = dict(figures["reconnects_by_second"])
    seconds = range(max(counts, default=0) + 1)
    most = max(counts.values(), default=1)
    lines = []
    for row in range(height, 0, -1):
        levels = [counts.get(at, 0) / most * height - (row - 1) for at in seconds]
        label = most if row == height else ""
        lines.append(f"{label:>6} |" + "".join(" ▁▂▃▄▅▆▇█"[_eighths(level)] for level in levels))
    ticks = "".join(f"{at:<10}" for at in seconds if at % 10 == 0)
    lines.append(f"{0:>6} +" + "-" * len(seconds))
    lines.append(f"{'s':>6}  {ticks}")
    lines += [f"{'':>6}  {' ' * int(at)}^ {what} ({at} s)" for at, what in figures["marks"]]
    return "\n".join(line.rstrip() for line in lines)


def _eighths(level: float) -> int:
    return max(0, min(8, math.ceil(level * 8)))


HEADER = (
    "| mode | delivered | twice | disorder | p50 | p95 | p99 | max | beyond offline: p50"
    " | p95 | p99 | max |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def row(figures: dict[str, Any]) -> str:
    """A run as a line of the table."""
    delivered = figures["delivery_percent"]
    cells = [
        figures["mode"],
        "100 %" if not figures["lost"] else f"{min(delivered, 99.9999):.4f} %",
        f"{figures['duplicates']}",
        f"{figures['disorder_in_slot']}",
    ]
    for times in (figures["took_s"], figures["beyond_offline_s"]):
        cells += [f"{times[name]:.3f} s" for name in QUANTILES]
    return "| " + " | ".join(cells) + " |"


def story(figures: dict[str, Any]) -> str:
    """What the table doesn't say of a run."""
    memory = " -> ".join(f"{mb:.0f}" for mb in figures["server_memory_mb"])
    took = figures["reconnect_s"]
    causes = ", ".join(f"{n:,} by {cause}" for cause, n in sorted(figures["reconnects"].items()))
    text = (
        f"Reconnects: {causes or 'none'}; back in the feed after p50 {took['p50']:.3f} s,"
        f" p99 {took['p99']:.3f} s, max {took['max']:.3f} s of trying; at most"
        f" {figures['most_reconnects_in_a_second']} in a second. Messages sent again:"
        f" {figures['resent']}. Server memory, without viewers -> with all -> at the end:"
        f" {memory} MB. Errors told to viewers: {figures['errors'] or 'none'}."
    )
    title = f"### {figures['mode']}: {MODES[figures['mode']]}"
    return f"{title}\n\n{text}\n\nReconnects a second:\n\n```\n{plot(figures)}\n```"


def markdown(runs: list[dict[str, Any]], at: str, machine: str) -> str:
    """All runs, as a page."""
    first = runs[0]
    head = (
        f"The last run of `make jitter`, {at}: {machine}.\n\n"
        f"{first['viewers']:,} viewers of a feed, {first['messages']} messages at"
        f" {first['rate']:g} a second; every connection is cut without a closing handshake about"
        f" every {first['cut_every_s']:g} s, for about {first['offline_s']:g} s. Delivery time is"
        " from when a message was due (before its commit, and before the sender's own retries)"
        " until a viewer has it; *beyond offline* leaves out only the seconds in which the viewer"
        " had no network: a server that is gone, and waiting to try again, count in full."
        f" Required: 100 %, nothing twice, order kept, p95 < {REQUIRED_P95_S} s and"
        f" p99 < {REQUIRED_P99_S} s beyond offline.\n"
    )
    table = "\n".join([HEADER, *map(row, runs)])
    verdict = "\n".join(
        f"- {run['mode']}: {'; '.join(run['failures']) or 'as required'}" for run in runs
    )
    return "\n\n".join([head.rstrip(), table, verdict, *map(story, runs)]) + "\n"
