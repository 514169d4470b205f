"""One request to the server, and the same again where that is safe."""

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec
import yarl
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from .. import __version__
from .answers import ANSWER_BYTES, read, redirected
from .errors import Redirected, Unavailable

log = logging.getLogger(__name__)

#: The first pause before trying again, and the longest; each is a random part of twice the last.
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0
#: How long one attempt may take, from looking up the name to the answer's last byte, and its
#: connecting.
ATTEMPT_TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 5.0

#: What a connection that breaks, or never comes to be, raises.
BROKEN = (aiohttp.ClientError, TimeoutError, OSError)

T = TypeVar("T")


def pause(attempt: int) -> float:
    """How long to wait after this many failures, in s: random, so that clients don't come as one.

    Never nothing: what fails at once would be tried in a tight loop.
    """
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempt, 16))
    return random.uniform(longest / 4, longest)


class Wire:
    """Connections to one server, with one key. A loop uses its own, and so does a fork."""

    def __init__(self, url: str, key: str, timeout_s: float) -> None:
        self.url = _checked(url)
        self.key = key
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._here: tuple[int, asyncio.AbstractEventLoop | None] = os.getpid(), None
        #: A parent's, not to be touched: its sockets would be closed.
        self._inherited: list[aiohttp.ClientSession | None] = []

    @property
    def session(self) -> aiohttp.ClientSession:
        here = os.getpid(), asyncio.get_running_loop()
        session = self._own_session()
        if session is None or self._here != here:
            session = self._session = open_session()
            self._here = here
        return session

    def _own_session(self) -> aiohttp.ClientSession | None:
        if self._here[0] != os.getpid():
            self._inherited.append(self._session)
            self._session = None
        return self._session

    async def close(self) -> None:
        """Hold no connection any more; the next request opens one again."""
        session, self._session = self._own_session(), None
        if session is not None:
            await session.close()

    async def call(
        self, method: str, path: str, type: type[T], *, again: bool = True, **options: Any
    ) -> T:
        """`ask`, with `retry`."""
        return await self.retry(lambda: self.ask(method, path, type, **options), again=again)

    async def retry(self, ask: Callable[[], Awaitable[T]], *, again: bool = True) -> T:
        """Ask until it is answered or the time is up; the answer.

        `again=False` is for what must not be done twice: it is then only repeated if it was not
        done. Raises a ClientError.
        """
        until = time.monotonic() + self._timeout_s
        attempt = 0
        while True:
            try:
                return await ask()
            except Unavailable as error:
                wait = error.wait_s + pause(attempt)
                hopeless = isinstance(error, Redirected) or time.monotonic() + wait > until
                if hopeless or not (again or error.untouched):
                    raise
                log.warning("%s Trying again in %.1f s.", error, wait)
            await asyncio.sleep(wait)
            attempt += 1

    async def ask(
        self,
        method: str,
        path: str,
        type: type[T],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        most_bytes: int = ANSWER_BYTES,
    ) -> T:
        """Send it once; the answer. Raises a ClientError, Unavailable if it can be tried again."""
        headers = {"x-api-key": self.key, **(headers or {})}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with self.session.request(
                method,
                self.url + path,
                params=query,
                data=body,
                headers=headers,
                allow_redirects=False,  # the key would go along
            ) as response:
                return await read(response, type, most_bytes)
        except BROKEN as broken:
            never_left = isinstance(broken, aiohttp.ClientConnectorError)
            why = " ".join(str(broken).split())[:300] or broken.__class__.__name__
            raise Unavailable(f"{self.url}: {why}.", untouched=never_left) from None


def open_session() -> aiohttp.ClientSession:
    """Connections that go where they are told, and nowhere else.

    Answers are unpacked by `answers`, in bounds. A websocket can't be told not to follow a
    redirect: what is called on the way stops it.
    """
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_stay)
    return aiohttp.ClientSession(
        headers={"User-Agent": f"livetally-python/{__version__}", "Accept-Encoding": "gzip"},
        timeout=aiohttp.ClientTimeout(ATTEMPT_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
        connector=aiohttp.TCPConnector(limit=0, resolver=_Resolver()),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trace_configs=[trace],
    )


async def _stay(_: Any, __: Any, redirect: aiohttp.TraceRequestRedirectParams) -> None:
    redirect.response.close()
    raise redirected(redirect.response)


def _checked(url: str) -> str:
    try:
        good = yarl.URL(url).host and url.startswith(("http://", "https://"))
    except ValueError:
        good = False
    if not good:
        raise ValueError(
            f"The server's address is like http://127.0.0.1:8080 or https://HOST, not {url!r}."
        )
    return url.rstrip("/")


class _Resolver(ThreadedResolver):
    """Looks names up in a thread; at the end of a program, when there are none any more, itself."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            return await super().resolve(host, port, family)
        except RuntimeError:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            return [
                ResolveResult(
                    hostname=host,
                    host=str(place[0]),
                    port=port,
                    family=actual,
                    proto=proto,
                    flags=0,
                )
                for actual, _, proto, _, place in found
            ]


def query_of(**given: Any) -> dict[str, str]:
    """Parameters of a query, without those that are None; moments as RFC 3339."""
    return {
        name.rstrip("_"): value if isinstance(value, str) else _text(value)
        for name, value in given.items()
        if value is not None
    }


def _text(value: Any) -> str:
    return str(msgspec.to_builtins(value))
