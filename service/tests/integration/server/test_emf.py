"""Metrics for CloudWatch, as lines of the embedded metric format."""

import json

import pytest

from livetally.ops.emf import UNITS, Emf
from livetally.ops.metrics import Metrics
from service.tests.support.postgres import make_keys
from service.tests.support.server import Service, serving


def emf() -> tuple[Metrics, Emf]:
    metrics = Metrics()
    return metrics, Emf(metrics, "Livetally/test")


def test_a_line_is_what_cloudwatch_reads() -> None:
    """The format's rules: one directive, milliseconds, and a number for each metric it names."""
    metrics, lines = emf()
    metrics.commit_seconds.observe(0.02)
    metrics.lag_seconds.observe(0.05)
    line = lines.line(now=1_795_000_000.5)
    assert "\n" not in line
    told = json.loads(line)
    aws = told.pop("_aws")
    assert aws["Timestamp"] == 1_795_000_000_500
    (directive,) = aws["CloudWatchMetrics"]
    assert directive["Namespace"] == "Livetally/test"
    assert directive["Dimensions"] == [[]]
    assert {each["Name"]: each["Unit"] for each in directive["Metrics"]} == UNITS
    assert told.keys() == UNITS.keys()
    assert all(isinstance(value, int | float) for value in told.values())


def test_counts_and_means_are_of_the_time_since_the_last_line() -> None:
    """Gauges say what is, counters what came, and no commit has no mean."""
    metrics, lines = emf()
    metrics.viewers.set(3)
    metrics.events_accepted.inc(10)
    metrics.commit_seconds.observe(0.01)
    metrics.commit_seconds.observe(0.03)
    told = json.loads(lines.line(now=1))
    assert (told["Viewers"], told["EventsAccepted"]) == (3, 10)
    assert told["CommitMilliseconds"] == pytest.approx(20)
    metrics.events_accepted.inc(2)
    told = json.loads(lines.line(now=2))
    assert (told["Viewers"], told["EventsAccepted"], told["EventsDuplicate"]) == (3, 2, 0)
    assert "CommitMilliseconds" not in told
    assert "LagMilliseconds" not in told


async def test_a_service_logs_them_where_it_is_told_to(
    database_url: str, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a namespace a process begins to say so at once; without one its stdout stays empty."""
    keys = await make_keys(database_url)

    async def says(**settings: str) -> str:
        async with serving(database_url, redis_url, keys, **settings) as service:
            await answered(service)
        return capsys.readouterr().out

    assert await says() == ""
    told = json.loads((await says(emf_namespace="Livetally/dev")).splitlines()[0])
    assert told["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Livetally/dev"


async def answered(service: Service) -> None:
    status, _ = await service.post({"type": "click", "subject": "red"})
    assert status == 200
