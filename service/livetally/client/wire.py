"""One request to the server, and the same again where that is safe."""

import asyncio
import random
import socket
import time
from collections.abc import Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from .. import __version__
from ..schema.http import Reason
from .errors import ClientError, Refused, Unavailable, may_pass, refusal

#: The first pause before trying again, and the longest; each is a random part of twice the last.
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0
#: How long one attempt may take, and its connecting.
ATTEMPT_TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 5.0
#: A snapshot of 1,000 subjects of 1,024 characters, each of them escaped, is 6 MiB.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

#: What a connection that breaks, or never comes to be, raises.
BROKEN = (aiohttp.ClientError, TimeoutError, OSError)

T = TypeVar("T")


def pause(attempt: int) -> float:
    """How long to wait after this many failures, in s: random, so that clients don't come as one.

    Never nothing: what fails at once would be tried in a tight loop.
    """
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempt, 16))
    return random.uniform(longest / 4, longest)


class _Failure(msgspec.Struct):
    error: Reason


class Answer(msgspec.Struct):
    """A status below 300, or one that the caller knows what to do with."""

    status: int
    body: bytes

    def decode(self, type: type[T]) -> T:
        """Raises Unavailable: something else than Livetally has answered."""
        try:
            return msgspec.json.decode(self.body, type=type)
        except msgspec.MsgspecError as error:
            raise Unavailable(f"The answer is not Livetally's: {error}") from None


class Wire:
    """A connection pool to one server, with one key. Belongs to the loop that uses it first."""

    def __init__(self, url: str, key: str, timeout_s: float) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"The server's address begins with http:// or https://, not {url!r}.")
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self._key = key
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(ATTEMPT_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
            headers = {"x-api-key": self._key, "User-Agent": f"livetally-python/{__version__}"}
            self._session = aiohttp.ClientSession(
                headers=headers,
                timeout=timeout,
                connector=aiohttp.TCPConnector(limit=0, resolver=_Resolver()),
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (),
        again: bool = True,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send it, and again until it is answered or the time is up; the answer.

        Answers with a status of `accept` are the caller's. `again=False` is for what must not be
        done twice: it is then only repeated if it was not done. Raises a ClientError.
        """
        until = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        attempt = 0
        while True:
            least, safe = 0.0, again
            try:
                answer, least = await self._once(method, path, query, body, headers)
                if answer.status < 300 or answer.status in accept:
                    return answer
                error = _refusal(answer)
                safe = again or error.code in ("shutting_down", "overloaded")
            except BROKEN as broken:
                error = Unavailable(f"{self.url}: {_why(broken)}")
                safe = again or isinstance(broken, aiohttp.ClientConnectorError)
            wait = least + pause(attempt)
            if not isinstance(error, Unavailable) or not safe or time.monotonic() + wait > until:
                raise error
            await asyncio.sleep(wait)
            attempt += 1

    async def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> tuple[Answer, float]:
        """The answer, and for how long at least the server wants to be left alone, in s."""
        if body is not None:
            headers = {"Content-Type": "application/json", **(headers or {})}
        async with self.session.request(
            method,
            self.url + path,
            params=query,
            data=body,
            headers=headers,
            allow_redirects=False,  # the key would go along
        ) as response:
            answer = Answer(response.status, await response.read())
            if 300 <= response.status < 400:
                raise Refused(f"{self.url} sends us elsewhere: {response.headers.get('Location')}")
            return answer, retry_after(response.headers)


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


def retry_after(headers: Mapping[str, str]) -> float:
    given = headers.get("Retry-After", "")
    return min(float(given), 60.0) if given.isascii() and given.isdigit() else 0.0


def _refusal(answer: Answer) -> ClientError:
    try:
        reason = msgspec.json.decode(answer.body, type=_Failure).error
    except msgspec.MsgspecError:
        reason = Reason("unknown", f"The server answered {answer.status}.")
    if may_pass(answer.status):
        return Unavailable(reason.message, reason.code)
    return refusal(answer.status, reason.code, reason.message)


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def query_of(**given: Any) -> dict[str, str]:
    """Parameters of a query, without those that are None; moments as RFC 3339."""
    return {
        name.rstrip("_"): value if isinstance(value, str) else _text(value)
        for name, value in given.items()
        if value is not None
    }


def _text(value: Any) -> str:
    return str(msgspec.to_builtins(value))
