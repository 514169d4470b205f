"""`make bench` made short: its parts measure, and give no figures of what was lost."""

import json
from pathlib import Path

import psycopg
import pytest

from loadtest.bench import growth, parsing
from loadtest.bench.ingest import batch_of, send, single_events
from loadtest.lib.figures import Figures
from loadtest.lib.stand import Wrong, stand

pytestmark = pytest.mark.load


def test_an_event_lost_or_doubled_is_no_figure(tmp_path: Path) -> None:
    """What the clients were told is compared with each table that an event is in."""
    figures = Figures()
    with stand(tmp_path) as made:
        single_events(made, figures, rounds=1, seconds=1)
        with made.database() as bench, bench.serve() as server:
            sent = send(bench, server, 0.3, c=4, r=batch_of(bench, 10))
            bench.check(sent.accepted_ever)
            for harm in (
                "DELETE FROM events WHERE id = (SELECT min(id) FROM events)",
                "DELETE FROM event_ids WHERE id = (SELECT min(id) FROM event_ids)",
                "UPDATE totals SET n = n + 1 WHERE subject = 'colour-7'",
                "UPDATE minutes SET n = n - 1 WHERE subject_key = md5('colour-7')::uuid",
            ):
                with psycopg.connect(bench.database_url) as connection:
                    connection.execute(harm)
                    connection.commit()
                with pytest.raises(Wrong):
                    bench.check(sent.accepted_ever)
    names = {figure.name for figure in figures}
    assert {"ratio durable : no store", "Postgres CPU a durable request"} <= names


def test_what_grows_is_measured_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Projects, subjects, the log and processes, each at two sizes or more."""
    monkeypatch.setattr(growth, "PROJECTS", (1, 3))
    monkeypatch.setattr(growth, "SUBJECTS", (10, 2_000))
    monkeypatch.setattr(growth, "PROCESSES", (1, 2))
    figures = Figures()
    with stand(tmp_path) as made:
        growth.growth(made, figures, seconds=0.3, most_stored=2_000)
    figures.save(tmp_path / "results", "this machine")

    saved = json.loads((tmp_path / "results" / "bench.json").read_text())
    names = {figure["name"] for figure in saved["figures"]}
    for size in ("3 projects", "2,000 subjects", "2,000 events in the log before", "2 processes"):
        assert {f"growth, {size}", f"growth, {size}: Postgres CPU"} <= names
    assert (tmp_path / "results" / "growth.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", parsing.SHAPES)
def test_what_a_byte_costs_does_not_grow(name: str) -> None:
    """Sixteen times the text costs about sixteen times as much, whatever it looks like: a ratio
    within one run. The quickest of three pairs counts, since neighbours only ever slow."""
    small, large = parsing.SIZES
    shape = parsing.SHAPES[name]
    growths = [parsing.cost_ns(shape, large) / parsing.cost_ns(shape, small) for _ in range(3)]
    assert min(growths) < parsing.MOST_GROWTH, growths
