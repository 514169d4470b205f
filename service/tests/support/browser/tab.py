"""A tab that notices whatever is wrong, and what it shows."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from playwright.async_api import Page, expect

from service.tests.support.postgres import query, totals_in
from service.tests.support.waiting import until

TYPES = ("click", "hover")


# What is on the screen, as text. Pairs and not objects: a subject may be called "__proto__".
_READ = """() => {
  const text = (selector) => document.querySelector(selector).textContent;
  const cells = [...document.querySelectorAll("[data-count]")];
  const minutes = [...document.querySelector("#minutes").tBodies[0].rows];
  return {
    totals: [text("#clicks [data-total]"), text("#hovers [data-total]")],
    counts: cells.map((cell) => [cell.dataset.count, cell.textContent]),
    minutes: minutes.map((row) => [...row.cells].map((cell) => cell.textContent)),
  };
}"""


class Shown(NamedTuple):
    """Counts, on a page or in Postgres; what is zero is left out."""

    totals: dict[str, int]
    counts: dict[tuple[str, str], int]
    minutes: dict[str, tuple[int, int]]


def stored(database_url: str) -> Shown:
    """What Postgres holds, in the form of what a page shows."""
    totals: dict[str, int] = {}
    counts: dict[tuple[str, str], int] = {}
    for type_ in TYPES:
        in_postgres = totals_in(database_url, type_)
        totals[type_] = in_postgres.pop("", 0)
        counts |= {(type_, subject): n for subject, n in in_postgres.items()}
    minutes = query(
        database_url,
        "SELECT to_char(minute, 'HH24:MI'),"
        " coalesce(sum(n) FILTER (WHERE type = 'click'), 0)::bigint,"
        " coalesce(sum(n) FILTER (WHERE type = 'hover'), 0)::bigint"
        " FROM minutes WHERE subject_key = md5('')::uuid GROUP BY minute",
    )
    return Shown(totals, counts, {minute: (clicks, hovers) for minute, clicks, hovers in minutes})


class Tab:
    """The page in a browser context of its own: another person's browser."""

    def __init__(self, page: Page, url: str, expected: str) -> None:
        self.page = page
        #: What the console may say because the test breaks something: a regular expression.
        self._expected = re.compile(expected or "(?!)")
        self._url = url
        self._said: list[str] = []
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self._said.append(f"threw: {error}"))
        page.on("request", self._note_request)

    def _note_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self._said.append(f"{message.text} ({message.location.get('url', '')})")

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith(self._url):
            self._said.append(f"asked elsewhere: {request.url}")

    def complaints(self) -> list[str]:
        """Errors, policy violations and requests to strangers, but for the expected ones."""
        return [line for line in self._said if not self._expected.search(line)]

    def cell(self, subject: str) -> Any:
        return self.page.locator(f'#grid [data-subject="{subject}"]')

    async def is_(self, connection: str) -> None:
        """Wait until the page says that of its connection."""
        root = self.page.locator("html")
        await expect(root).to_have_attribute("data-connection", connection, timeout=40_000)

    async def read(self) -> Shown:
        seen = await self.page.evaluate(_READ)
        counts = {tuple(name.split(":", 1)): _number(text) for name, text in seen["counts"]}
        minutes = {at: (_number(c), _number(h)) for at, c, h in seen["minutes"]}
        return Shown(
            dict(zip(TYPES, map(_number, seen["totals"]), strict=True)),
            {name: n for name, n in counts.items() if n != 0},
            {at: both for at, both in minutes.items() if both != (0, 0)},
        )

    async def shows(self, wanted: Callable[[], Shown], within_s: float = 30) -> None:
        """Wait until every number on the page is the wanted one."""
        last: list[Any] = []

        async def same() -> bool:
            last[:] = [await self.read(), wanted()]
            return bool(last[0] == last[1])

        await until(same, within_s, lambda: f"the page has {last[0]}, and not {last[1]}")


def _number(text: str) -> int:
    """The dash of an unknown count is -1, which no count equals."""
    return int(text) if text.isdecimal() else -1


# What Chromium's console says of a server that is away, and of one that refuses.
AWAY = r"net::ERR_(CONNECTION_\w+|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED|INCOMPLETE_\w+)"


REFUSED = r"status of (401|403)"


UNAVAILABLE = r"status of 503"
