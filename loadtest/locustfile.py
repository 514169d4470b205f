"""Load for Livetally, with a gate: the run fails if an event is lost or counted twice.

    make load                                           its own servers, everything below
    . .livetally/env; locust -f loadtest/locustfile.py --headless --host http://127.0.0.1:8080 \\
        --users 100 --seconds 30 --processes 2 SingleEvents Viewer

`WRITE_KEY`, `READ_KEY`, `ADMIN_KEY` and `PROJECT` (keys of one project) come from the environment.
Users: `load_users`, `load_older`. `--shape`: `load_shape`. What must hold at the end: `load_gate`.
"""

import logging
from typing import Any

from locust import events, runners
from locust.runners import MasterRunner, WorkerRunner

from loadtest.lib.figures import machine
from loadtest.load.base import ADMIN_KEY, EVENT_TYPE, READ_KEY, WRITE_KEY, ledger
from loadtest.load.compat import BlogReader, CollectorUser, ColourUser, RailsUser, Van
from loadtest.load.gate import Gate, in_time
from loadtest.load.report import save
from loadtest.load.shape import SHAPES, Shape, cut_all
from loadtest.load.users import Batches, Browser, Dashboard, SingleEvents, Tracker, Viewer

__all__ = [
    "Batches", "BlogReader", "Browser", "CollectorUser", "ColourUser", "Dashboard", "RailsUser",
    "Shape", "SingleEvents", "Tracker", "Van", "Viewer",
]  # fmt: skip

log = logging.getLogger("livetally.load")

#: Seconds until a worker that says nothing is given up. Of Locust's own three a busy machine, as a
#: loaded one is, takes more to start the users.
runners.HEARTBEAT_LIVENESS = 60

TYPES = [EVENT_TYPE, "click", "hover", "page_view", "article_view", "button_click"]


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.add_argument("--shape", choices=SHAPES, default="steady", help="users over time")
    parser.add_argument("--seconds", type=float, default=30, help="how long")
    parser.add_argument("--step-seconds", type=float, default=10, help="a step of the ramp")
    parser.add_argument("--rate-factor", type=float, default=1, help="all users faster by this")
    parser.add_argument("--p95-ms", type=float, default=1000, help="fail if p95 is over this")
    parser.add_argument("--p99-ms", type=float, default=2000, help="fail if p99 is over this")
    parser.add_argument("--max-error-ratio", type=float, default=0, help="fail if more fail")
    parser.add_argument("--results", default="", help="folder for the report; none: no report")


@events.init.add_listener
def begin(environment: Any, runner: Any, **_: Any) -> None:
    ledger.begin()
    if not (WRITE_KEY and READ_KEY and ADMIN_KEY):
        raise SystemExit("WRITE_KEY, READ_KEY and ADMIN_KEY must be set: `. .livetally/env`")
    if isinstance(runner, WorkerRunner):
        runner.register_message("cut", lambda environment, msg: cut_all(environment.runner))
        runner.register_message("finish", lambda environment, msg: environment.runner.stop())
        return
    if isinstance(runner, MasterRunner):
        runner.register_message("ledger", lambda environment, msg: close_books(msg.data))
    gate = Gate(environment.host, READ_KEY, ADMIN_KEY)
    gate.open(TYPES)
    environment.gate = gate
    environment.machine = machine()


@events.report_to_master.add_listener
def report(client_id: str, data: dict[str, Any]) -> None:
    data["ledger"] = ledger.take_report()


@events.worker_report.add_listener
def take(client_id: str, data: dict[str, Any]) -> None:
    ledger.merge(data["ledger"])


@events.test_stop.add_listener
def hand_over(environment: Any, **_: Any) -> None:
    """A worker's last report: Locust's own may come after the master has gone."""
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.send_message("ledger", ledger.take_report())


def close_books(report: dict[str, Any]) -> None:
    """A worker's, on the master."""
    ledger.merge(report)
    ledger.closed += 1


@events.quitting.add_listener
def end(environment: Any, **_: Any) -> None:
    """The verdict, and the exit status: 0 only if nothing is lost, doubled or late."""
    if isinstance(environment.runner, WorkerRunner):
        return
    ledger.settle()
    facts, wrong = environment.gate.close(ledger)
    wrong += in_time(ledger, environment.parsed_options)
    if not ledger.types:
        wrong.append("nothing was sent")
    save(environment, ledger, facts, wrong)
    for what in wrong:
        log.error("GATE: %s", what)
    log.info("GATE: %s", "failed" if wrong else "passed: nothing lost, nothing counted twice")
    environment.process_exit_code = 1 if wrong else 0
