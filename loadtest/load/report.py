"""What a run amounts to: JSON, a page of Markdown, and plots over time."""

import json
import time
from pathlib import Path
from typing import Any

from loadtest.load.ledger import Ledger, percentile

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
#: What the kinds mean, in the order in which they are shown.
KINDS = {
    "commit": "from when a request was due until it was acknowledged",
    "seen": "from when an event was sent until a viewer had it",
    "connect": "opening a connection",
    "reconnect": "from a cut until subscribed again",
    "schedule": "how late the load itself was (if this is high, its machine is the limit)",
}


def save(environment: Any, ledger: Ledger, facts: dict[str, Any], wrong: list[str]) -> None:
    """Writes load-SHAPE.{json,md,png} if a folder was named."""
    options = environment.parsed_options
    if not options.results:
        return
    folder = Path(options.results)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"load-{options.shape}"
    document = _document(environment, ledger, facts, wrong)
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / f"{name}.md").write_text(_page(document, name))
    _plot(ledger, folder / f"{name}.png", options)


def _document(
    environment: Any, ledger: Ledger, facts: dict[str, Any], wrong: list[str]
) -> dict[str, Any]:
    options = environment.parsed_options
    shape = environment.shape_class
    timeline = ledger.timeline
    kinds = {
        kind: {
            "count": (histogram := timeline.histogram(kind, timeline.seconds)).total(),
            "failed": timeline.failures(kind, timeline.seconds),
            **{f"{q}_ms": percentile(histogram, share) for q, share in QUANTILES.items()},
        }
        for kind in KINDS
        if kind in timeline.kinds
    }
    stored = sum(each["stored"] for each in facts["types"].values())
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": environment.machine,
        "shape": options.shape,
        "users": options.num_users,
        "classes": sorted(each.__name__ for each in environment.user_classes),
        "processes": options.processes or 1,
        "seconds": len(timeline.seconds),
        "events_a_second": round(stored / max(1, len(timeline.seconds)), 1),
        "kinds": kinds,
        "knee": shape.knee if shape else None,
        "steps": shape.steps if shape else [],
        "by_name": [
            {
                "kind": entry.method,
                "name": entry.name,
                "count": entry.num_requests,
                "failed": entry.num_failures,
                **{
                    f"{q}_ms": entry.get_response_time_percentile(share)
                    for q, share in QUANTILES.items()
                },
            }
            for entry in environment.stats.entries.values()
        ],
        "gate": {
            "failures": wrong,
            "types": facts["types"],
            "items": facts["items"],
            "exact": facts["verify"]["exact"],
        },
    }


def _page(document: dict[str, Any], name: str) -> str:
    gate = document["gate"]
    late = "" if document["shape"] == "ramp" else ", nothing late"  # a ramp goes on until all is
    verdict = f"**The gate is open: nothing was lost, nothing counted twice{late}.**"
    if gate["failures"]:
        verdict = "**The gate is shut:**\n\n" + "\n".join(f"- {each}" for each in gate["failures"])
    story = (
        f"The last run of `make load` with `--shape {document['shape']}`, {document['at']}:"
        f" {document['machine']}; {document['users']} users"
        f" ({', '.join(document['classes'])}) in {document['processes']}"
        f" process{'es' * (document['processes'] > 1)} for"
        f" {document['seconds']} s, {document['events_a_second']:,.0f} events/s."
    )
    lines = [
        story,
        verdict,
        _table(
            ["what", "", "count", "failed", "p50 ms", "p95 ms", "p99 ms"],
            [
                [kind, KINDS[kind], each["count"], each["failed"], *_times(each)]
                for kind, each in document["kinds"].items()
            ],
        ),
        _table(
            ["users' requests", "", "count", "failed", "p50 ms", "p95 ms", "p99 ms"],
            [
                [each["name"], each["kind"], each["count"], each["failed"], *_times(each)]
                for each in document["by_name"]
            ],
        ),
        _table(
            ["type", "acknowledged", "unknown", "in the log", "counted", "lost", "doubled"],
            [
                [
                    type_,
                    *(
                        each[k]
                        for k in ("acknowledged", "unknown", "stored", "counted", "lost", "doubled")
                    ),
                ]
                for type_, each in gate["types"].items()
            ],
        ),
    ]
    if document["steps"]:
        lines.append(
            _table(
                ["users", "requests/s", "p95 ms", "failed"],
                [[*step.values()] for step in document["steps"]],
            )
            + f"\n\nThe knee: {document['knee'] or 'not reached'}."
        )
    lines.append(f"![Throughput and latencies over time]({name}.png)")
    return "\n\n".join(lines) + "\n"


def _times(each: dict[str, Any]) -> list[str]:
    return [f"{each[f'{q}_ms']:,.1f}" for q in QUANTILES]


def _table(head: list[str], rows: list[list[Any]]) -> str:
    cells = [head, ["---" if i == 0 else "--:" for i in range(len(head))], *rows]
    return "\n".join(
        "| " + " | ".join(f"{c:,}" if isinstance(c, int) else str(c) for c in row) + " |"
        for row in cells
    )


def _plot(ledger: Ledger, path: Path, options: Any) -> None:
    # A second of start that only the master's end has to pay.
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    timeline = ledger.timeline
    seconds = timeline.seconds
    at = [second - seconds.start for second in seconds]
    figure, axes = pyplot.subplots(4, 1, figsize=(9, 10), sharex=True, layout="constrained")
    for kind in ("commit", "seen"):
        counts = [timeline.cells.get((second, kind), {}) for second in seconds]
        axes[0].plot(at, [sum(each.values()) for each in counts], label=kind)
    axes[0].set_ylabel("a second")
    axes[0].legend()
    for axis, kind in zip(axes[1:], ("commit", "seen", "schedule"), strict=True):
        for name, q in QUANTILES.items():
            values = [
                percentile(timeline.histogram(kind, range(second, second + 1)), q)
                for second in seconds
            ]
            axis.plot(at, values, label=name)
        axis.set_yscale("log")
        axis.set_ylabel(f"{kind}, ms")
        axis.legend()
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("s")
    figure.suptitle(f"{options.shape}, {options.num_users} users")
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
