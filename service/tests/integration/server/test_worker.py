"""`livetally worker`: what it works on, what operators are told of it, and how it ends."""

import json
import signal
import urllib.request
from collections.abc import Callable

import pytest

from livetally.base.config import Config, ConfigError
from livetally.cli.worker import OPTIONS
from livetally.worker import app as worker
from service.tests.support.process import Process

NOWHERE = "http://127.0.0.1:9/000000000000/events"
CONFIG = Config(database_url="postgresql://127.0.0.1:1/x", redis_url="redis://127.0.0.1:1")


def test_a_loop_that_lacks_its_setting_is_told() -> None:
    """Naming a loop that isn't configured refuses to start, and says what it needs."""
    with pytest.raises(ConfigError, match=r"^LIVETALLY_QUEUE_URL is not set: --queue"):
        worker.chosen(CONFIG, frozenset({"queue"}))


def test_every_loop_has_its_option() -> None:
    """What the command offers is what there is."""
    assert list(OPTIONS) == list(worker.LOOPS)


def test_by_default_it_works_on_all_that_is_configured() -> None:
    """Without options every loop runs that has its settings; with options only those."""
    config = Config(database_url="postgres://x", redis_url="redis://x", queue_url=NOWHERE)
    assert "queue" not in worker.usable(CONFIG)
    assert "queue" in worker.chosen(config, frozenset())
    assert worker.chosen(config, frozenset({"queue"})) == ["queue"]


def answer(process: Process, path: str) -> str:
    with urllib.request.urlopen(process.url + path, timeout=10) as response:  # noqa: S310
        return str(response.read().decode())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_its_life(spawn: Callable[..., Process], number: signal.Signals) -> None:
    """A worker answers operators on a port of its own, and ends by either signal with status 0,
    having told what it did."""
    process = spawn(command="worker", LIVETALLY_QUEUE_URL=NOWHERE, AWS_REGION="eu-west-1")
    process.wait_ready()
    assert json.loads(answer(process, "/healthz"))["status"] == "alive"
    assert "livetally_events_accepted_total 0.0" in answer(process, "/metrics")
    process.process.send_signal(number)
    assert process.process.wait(25) == 0
    said = [json.loads(line)["message"] for line in process.log.read_text().splitlines()]
    assert any(line.startswith("working on ") for line in said)
    assert said[-1] == "stopped"


def test_without_a_region_it_does_not_start(spawn: Callable[..., Process]) -> None:
    """A setting that no call could be made without is missed at the start, by its name."""
    process = spawn(command="worker", LIVETALLY_QUEUE_URL=NOWHERE, HOME="/nonexistent")
    assert process.process.wait(30) == 2
    assert "livetally: AWS_REGION is not set" in process.log.read_text()
