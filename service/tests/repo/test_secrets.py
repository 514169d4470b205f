"""No secret leaves by the logs, the metrics or an answer, whatever fails on the way."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from livetally.dev.servers import LocalPostgres
from livetally.schema.keys import Role
from service.tests.support.postgres import make_keys, unreachable
from service.tests.support.process import Process

GUESSED = "lt_write_somebodys-guess-4711"
SESSION = "session-of-a-visitor-4711"


def fragments(secret: str) -> set[str]:
    """How a secret may stand in a text: as it is, most of it, or encoded."""
    halves = {secret[:20], secret[-20:]} if len(secret) > 30 else set()
    return {secret, b64encode(secret.encode()).decode().rstrip("=")} | halves


class Journey:
    """Every way that a key can be sent; keeps what was answered."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.answers: list[str] = []
        self.statuses: set[int] = set()

    async def ask(self, method: str, path: str, **options: Any) -> None:
        async with self.http.request(method, path, **options) as answer:
            self.answers.append(f"{answer.headers}\n{await answer.text()}")
            self.statuses.add(answer.status)

    async def with_key(self, key: str) -> None:
        event = {"type": "click", "subject": "red", "session": SESSION}
        basic = {"Authorization": aiohttp.encode_basic_auth("demo", key)}
        for headers in (
            {"x-api-key": key},
            {"Authorization": f"Bearer {key}"},
            {"Authorization": key},
            {"Authorization": f"Token token={key}"},
            basic,
        ):
            await self.ask("POST", "/v1/events", headers=headers, json=event)
        for query_string in (f"api_key={key}", f"api_key={key}&type=%00&top=x"):
            for path in ("/v1/stats", "/v1/types", "/v1/pages", "/v1/events", "/v3/events"):
                await self.ask("GET", f"{path}?{query_string}")
        await self.ask("GET", f"/no/such/path?api_key={key}")
        await self.ask("POST", f"/v1/events?api_key={key}", data=b"{broken", headers=basic)
        await self.ask("POST", "/v1/events", headers={"x-api-key": key}, json={"api_key": key})
        await self.ask("GET", "/button/click/count?button_id=b", headers=basic)
        await self.ask("GET", "/admin/v1/dead-letters", headers={"x-api-key": key})
        await self.ask("GET", "/v1/verify", headers={"x-api-key": key})
        for path, message in (
            ("/v1/live", {"type": "auth", "key": key}),
            ("/v1/live", {"type": "auth", "key": key, "more": 1}),
            (f"/v1/live?api_key={key}", {"type": "subscribe", "id": 1, "topic": {"x": key}}),
            ("/ws", {"action": "live", "api_key": key, "event_type": "click"}),
            ("/ws", {"action": "add_api_key", "api_key": [key]}),
        ):
            await self._talk(path, message)

    async def _talk(self, path: str, message: object) -> None:
        try:
            async with self.http.ws_connect(path) as socket:
                await socket.send_json(message)
                await socket.send_bytes(b"the end")  # it is closed when this is reached
                async for said in socket:
                    self.answers.append(f"{said.data} {said.extra}")
        except aiohttp.WSServerHandshakeError as error:
            self.answers.append(f"{error.headers} {error.message}")


def secrets_of(environ: dict[str, str], keys: dict[Role, str]) -> dict[str, str]:
    urls = {name: environ[name] for name in ("LIVETALLY_DATABASE_URL", "LIVETALLY_REDIS_URL")}
    passwords = {name: str(urlsplit(url).password) for name, url in urls.items()}
    return {**passwords, **{f"the {role} key": key for role, key in keys.items()}}


def found_in(text: str, secrets: dict[str, str]) -> list[str]:
    return [name for name, secret in secrets.items() for part in fragments(secret) if part in text]


async def test_a_whole_run_tells_no_secret(
    spawn: Callable[..., Process],
    database_url: str,
    redis_url: str,
    postgres: LocalPostgres,
    tmp_path: Path,
) -> None:
    """Every kind of key, in every place, good and unknown; Postgres cut off meanwhile; two more
    processes that are given wrong passwords: all that any of them logged (at the level debug),
    measured or answered has no key, no password, nor half of one, nor what a visitor is called."""
    keys = await make_keys(database_url)
    processes = [spawn(LIVETALLY_LOG_LEVEL="debug").wait_ready()]
    wrong = {
        "LIVETALLY_DATABASE_PASSWORD": "wrong-password-of-postgres",
        "LIVETALLY_LOG_LEVEL": "debug",
    }
    processes.append(spawn(**wrong))
    processes.append(spawn(LIVETALLY_REDIS_PASSWORD="wrong-password-of-redis"))
    environ = {"LIVETALLY_DATABASE_URL": database_url, "LIVETALLY_REDIS_URL": redis_url}
    secrets = secrets_of(environ, keys) | {
        "a guess": GUESSED,
        "a session": SESSION,
        "a wrong password": "wrong-password-of",
    }
    async with aiohttp.ClientSession(processes[0].url) as http:
        journey = Journey(http)
        await asyncio.gather(*(journey.with_key(key) for key in (*keys.values(), GUESSED)))
        with unreachable(postgres, database_url):
            later = (keys[Role.WRITE], GUESSED + "-later")  # each waits for Postgres a while
            await asyncio.gather(
                *(
                    journey.ask(method, path, headers={"x-api-key": key}, json={"key": key})
                    for key in later
                    for method, path in (("POST", "/v1/events"), ("GET", "/v1/stats?type=a"))
                )
            )
        await journey.ask("GET", "/metrics")
        await journey.ask("GET", "/openapi.json")
        await journey.ask("GET", "/page.json")
    assert journey.statuses >= {200, 400, 401, 403, 404, 422, 503}
    for process in processes[:1]:
        assert process.stop() == 0
    logs = [process.log.read_text() for process in processes]
    assert "Postgres is not available" in logs[0] or "POST /v1/events -> 503" in logs[0]
    for text in (*logs, *journey.answers):
        assert found_in(text, secrets) == [], text[:3_000]


def test_a_secret_would_be_found() -> None:
    """The search above finds a key as it is, cut, and as HTTP Basic writes a password."""
    key = "lt_write_0123456789abcdefghijklmnopqrstuv"
    for text in (f"GET /?api_key={key}", f"…{key[:24]}…", b64encode(key.encode()).decode()):
        assert found_in(text, {"key": key}) != [], text
    assert found_in("lt_write_", {"key": key}) == []
