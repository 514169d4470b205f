"""What was measured, and how it is shown: on the terminal, as JSON, as Markdown."""

import json
import os
import platform
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


@dataclass
class Figure:
    """One line of the table: a value from each round."""

    name: str
    unit: str
    values: list[float] = field(default_factory=list)
    aim: str = ""
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)


class Point(NamedTuple):
    """Microseconds of CPU an event, at one size of what grows."""

    size: float
    server_us: float
    postgres_us: float


class Figures:
    """All lines, in the order in which they are first named."""

    def __init__(self) -> None:
        self._figures: dict[tuple[str, str], Figure] = {}
        self._growth: dict[str, list[Point]] = {}

    def add(self, name: str, unit: str, value: float, aim: str = "", note: str = "") -> None:
        """One round's value."""
        figure = self._figures.setdefault((name, unit), Figure(name, unit, [], aim, note))
        figure.values.append(value)

    def plot(self, what: str, size: float, server_us: float, postgres_us: float) -> None:
        """What an event costs with so many of what grows."""
        self._growth.setdefault(what, []).append(Point(size, server_us, postgres_us))

    def __iter__(self) -> Iterable[Figure]:
        return iter(self._figures.values())

    def as_markdown(self) -> str:
        lines = ["| figure | unit | median | min - max | aim |", "|---|---|---:|---:|---|"]
        lines += [
            f"| {f.name}{f' ({f.note})' if f.note else ''} | {f.unit} | {_show(f.median)}"
            f" | {_show(min(f.values))} - {_show(max(f.values))} | {f.aim} |"
            for f in self._figures.values()
        ]
        return "\n".join(lines) + "\n"

    def as_table(self) -> str:
        rows = [("figure", "unit", "median", "min - max", "aim")]
        rows += [
            (
                f"{f.name}{f' ({f.note})' if f.note else ''}",
                f.unit,
                _show(f.median),
                f"{_show(min(f.values))} - {_show(max(f.values))}",
                f.aim,
            )
            for f in self._figures.values()
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        return "\n".join(
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}  {e}".rstrip()
            for a, b, c, d, e in rows
        )

    def save(self, folder: Path, machine: str) -> None:
        folder.mkdir(exist_ok=True, parents=True)
        document = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": machine,
            "figures": [vars(f) | {"median": f.median} for f in self._figures.values()],
        }
        (folder / "bench.json").write_text(json.dumps(document, indent=1) + "\n")
        (folder / "bench.md").write_text(
            f"The last run of `make bench`, {document['at']}: {machine}.\n\n{self.as_markdown()}"
            "\n![What an event costs as things grow](growth.png)\n"
        )
        self.save_plot(folder / "growth.png")

    def save_plot(self, path: Path) -> None:
        """Server and Postgres, one on the other, for each thing that grows."""
        # A second of start that only this needs.
        import matplotlib as mpl

        mpl.use("agg")
        from matplotlib import pyplot

        drawing, axes = pyplot.subplots(
            1, len(self._growth), figsize=(13, 3.6), sharey=True, layout="constrained"
        )
        for axis, (what, points) in zip(axes, self._growth.items(), strict=True):
            places = range(len(points))
            server = [point.server_us for point in points]
            axis.bar(places, server, label="server")
            axis.bar(places, [p.postgres_us for p in points], bottom=server, label="Postgres")
            axis.set_xticks(places, [f"{point.size:,.0f}" for point in points], fontsize=8)
            axis.set_xlabel(what)
            axis.grid(axis="y", alpha=0.3)
        axes[0].set_ylabel("us of CPU an event")
        axes[0].legend()
        drawing.savefig(path, dpi=80)
        pyplot.close(drawing)


def keep(folder: str, name: str, command: str, on: str, facts: Mapping[str, float]) -> None:
    """Print what a run came to, and write it to NAME.json and NAME.md if a folder is named."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    rows = [f"| {what} | {_show(value)} |" for what, value in facts.items()]
    page = "\n".join(
        [f"The last run of `{command}`, {at}: {on}.", "", "| | |", "|---|--:|", *rows, ""]
    )
    print(page)
    if folder:
        to = Path(folder)
        to.mkdir(exist_ok=True, parents=True)
        document = {"at": at, "command": command, "machine": on, "figures": facts}
        (to / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
        (to / f"{name}.md").write_text(page)


def machine() -> str:
    return (
        f"{os.cpu_count()} shared cores ({platform.system()} {platform.machine()}), client,"
        f" server, Postgres and Redis together; Python {platform.python_version()};"
        f" load of others {os.getloadavg()[0]:.1f} at the start"
    )


def _show(value: float) -> str:
    return (
        f"{value:,.0f}"
        if abs(value) >= 100 or isinstance(value, int)
        else f"{value:.2f}"
        if abs(value) < 10
        else f"{value:.1f}"
    )
