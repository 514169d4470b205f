"""How many users there are when: `--shape` names one.

steady  all of them, for the whole time
ramp    more at every step, until the next step would be too much: finds the knee
spike   a fifth of them, all at once in the middle, a fifth again
storm   all of them; half-way every viewer is cut off at once, and all come back
"""

import time
from typing import Any

import gevent
from locust import LoadTestShape
from locust.runners import MasterRunner

from loadtest.load.base import ledger
from loadtest.load.ledger import percentile

SHAPES = ("steady", "ramp", "spike", "storm")
#: The first seconds of a step are those in which users start.
SETTLE_S = 4
#: Workers tell the master what they measured every three seconds.
REPORTS_S = 4
QUIET_PART = 0.2
#: Beyond what users get to end what they are at.
FINISH_S = 30


class Shape(LoadTestShape):
    """Asked once a second."""

    use_common_options = True

    def __init__(self) -> None:
        super().__init__()
        self.knee: dict[str, Any] | None = None
        self.steps: list[dict[str, Any]] = []
        self._stormed = False

    def tick(self) -> tuple[int, float] | None:
        """(users, users to start a second), or None at the end."""
        now = self._now(self.runner.environment.parsed_options)
        if now is None and isinstance(self.runner, MasterRunner):
            self._finish()
        return now

    def _finish(self) -> None:
        """Locust alone would quit workers in the middle of what they do, and lose their books."""
        left = len(self.runner.clients.all)
        self.runner.send_message("finish")
        deadline = time.monotonic() + self.runner.environment.stop_timeout + FINISH_S
        while ledger.closed < left and time.monotonic() < deadline:
            gevent.sleep(0.05)

    def _now(self, options: Any) -> tuple[int, float] | None:
        at = self.get_run_time() / options.seconds
        if at >= 1:
            return None
        users = options.num_users or 1
        if options.shape == "ramp":
            return self._ramp(options)
        if options.shape == "spike":
            users = users if 0.4 <= at < 0.6 else max(1, round(users * QUIET_PART))
        if options.shape == "storm" and at >= 0.5 and not self._stormed:
            self._stormed = True
            cut_all(self.runner)
        return users, max(users / SETTLE_S, 1)

    def _ramp(self, options: Any) -> tuple[int, float] | None:
        """A tenth of the users more at each step; ends after the first step that is too much."""
        step = int(self.get_run_time() // options.step_seconds)
        if step > len(self.steps):
            self._judge(options)
            if self.knee is not None:
                return None
        users = max(1, round((options.num_users or 10) * (step + 1) / 10))
        return users, max(users / SETTLE_S, 1)

    def _judge(self, options: Any) -> None:
        until = int(time.time()) - REPORTS_S
        seconds = range(until - max(1, int(options.step_seconds) - SETTLE_S - REPORTS_S), until)
        ledger.settle()
        commits = ledger.timeline.histogram("commit", seconds)
        step = {
            "users": self.get_current_user_count(),
            "requests_a_second": round(commits.total() / max(1, len(seconds)), 1),
            "p95_ms": percentile(commits, 0.95),
            "failed": ledger.timeline.failures("commit", seconds),
        }
        self.steps.append(step)
        if not step["p95_ms"] <= options.p95_ms or step["failed"]:
            self.knee = self.steps[-2] if len(self.steps) > 1 else step


def cut_all(runner: Any) -> None:
    """Cuts off the viewers of this process, and of every worker."""
    if isinstance(runner, MasterRunner):
        runner.send_message("cut")
        return
    for user in _users(runner):
        if hasattr(user, "cut"):
            gevent.spawn(user.cut)


def _users(runner: Any) -> list[Any]:
    return [greenlet.args[0] for greenlet in runner.user_greenlets]
