"""What was measured, and how it is shown: on the terminal, as JSON, as Markdown."""

import json
import os
import platform
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


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


class Figures:
    """All lines, in the order in which they are first named."""

    def __init__(self) -> None:
        self._figures: dict[tuple[str, str], Figure] = {}

    def add(self, name: str, unit: str, value: float, aim: str = "", note: str = "") -> None:
        """One round's value."""
        figure = self._figures.setdefault((name, unit), Figure(name, unit, [], aim, note))
        figure.values.append(value)

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
        folder.mkdir(exist_ok=True)
        document = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": machine,
            "figures": [vars(f) | {"median": f.median} for f in self._figures.values()],
        }
        (folder / "bench.json").write_text(json.dumps(document, indent=1) + "\n")
        (folder / "bench.md").write_text(
            f"The last run of `make bench`, {document['at']}: {machine}.\n\n{self.as_markdown()}"
        )


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
        to.mkdir(exist_ok=True)
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
