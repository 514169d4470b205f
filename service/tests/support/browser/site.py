"""A server that gives the page its keys, and a client of its API."""

from collections import Counter
from collections.abc import Awaitable, Callable

from service.tests.support.browser.tab import Shown, Tab, stored
from service.tests.support.faults.books import check_counts
from service.tests.support.process import Process
from service.tests.support.server import Service

OpenTab = Callable[..., Awaitable[Tab]]
StartSite = Callable[..., Awaitable["Site"]]


class Site:
    """A server that gives the page its keys, and a client of its API."""

    def __init__(self, api: Service) -> None:
        self.api = api
        self.url = api.url
        self.database_url = api.database_url

    def stored(self) -> Shown:
        return stored(self.database_url)

    def agrees(self, made: Counter[tuple[str, str]]) -> None:
        """Postgres holds exactly these events, and its log, totals and minutes say the same."""
        assert self.stored().counts == made
        check_counts(self.database_url)


class SiteProcess(Site):
    """The same as a process of its own."""

    def __init__(self, api: Service, process: Process) -> None:
        super().__init__(api)
        self.process = process
