"""What answers in the service's stead: a login page, a router without backends, a firewall. The
Python SDK takes none of it for an answer: nothing is lost, and nothing is tried in a hot loop."""

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from livetally.base import errors as server_errors
from livetally.client import (
    AsyncClient,
    Event,
    QueueFull,
    Redirected,
    Refused,
    Snapshot,
    Unauthorized,
    Unavailable,
    totals,
)
from livetally.client.answers import LONGEST_WAIT_S, retry_after
from livetally.client.errors import FINAL, may_pass
from livetally.client.wire import FIRST_PAUSE_S
from livetally.schema.keys import Role
from service.tests.support.faults.box import Box, said
from service.tests.support.postgres import query, totals_in
from service.tests.support.server import Service

LOGIN = b"<!doctype html><title>Sign in</title>"
ACK = {"accepted": 1, "duplicates": 0, "rejected": []}
UNKNOWN_KEY = {"error": {"code": "unknown_key", "message": "This API key is not known."}}

#: Answers of others, and ours spoilt on the way.
FOREIGN = {
    "a login page": said("200 OK", LOGIN),
    "nothing": said("200 OK"),
    "no content": said("204 No Content"),
    "accepted, by a mail gateway": said("202 Accepted", {"accepted": True}),
    "other JSON": said("200 OK", {"ok": True}),
    "another's count": said("200 OK", {**ACK, "accepted": 2}),
    "a count of nothing": said("200 OK", {**ACK, "accepted": 0}),
    "a refusal of what wasn't sent": said(
        "200 OK", {**ACK, "accepted": 0, "rejected": [{"index": 7, "error": UNKNOWN_KEY["error"]}]}
    ),
    "half an answer": said("200 OK", ACK)[:-9],
    "half a gzip": said("200 OK", gzip.compress(b"{}")[:-9], Content_Encoding="gzip"),
    "gzip that is none": said("200 OK", b"{}", Content_Encoding="gzip"),
    "an unknown packing": said("200 OK", ACK, Content_Encoding="zstd"),
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "to the login page": said("302 Found", Location="https://login.example/"),
    "to https": said("301 Moved Permanently", Location="https://127.0.0.1:1/v1/events"),
    "nowhere": said("303 See Other"),
    "a firewall": said("403 Forbidden", LOGIN),
    "a firewall with JSON": said("403 Forbidden", {"error": {"code": "waf", "message": "no"}}),
    "basic auth": said("401 Unauthorized", LOGIN, WWW_Authenticate="Basic"),
    "no backend": said("404 Not Found", b"404 page not found\n"),
    "no backend, in JSON": said("404 Not Found", {"error": {"code": "no_route", "message": ""}}),
    "a static site": said("405 Not Allowed", LOGIN),
    "too many": said("429 Too Many Requests", LOGIN),
    "too large": said("413 Request Entity Too Large", LOGIN),
    "unprocessable": said("422 Unprocessable", {"detail": "no"}),
    "a bad gateway": said("502 Bad Gateway", LOGIN),
    "maintenance": said("503 Service Unavailable", LOGIN, Retry_After="0"),
}

#: In words that Livetally has too, but not for a single event.
IN_OUR_WORDS = {
    "a strict host": said("400 Bad Request", {"error": {"code": "bad_request", "message": ""}}),
    "a small proxy": said("413 Too Large", {"error": {"code": "too_large", "message": "1 kB"}}),
    "an API": said("422 Unprocessable", {"error": {"code": "unprocessable", "message": "no"}}),
}


def client_of(service: Service, box: Box, **options: object) -> AsyncClient:
    return AsyncClient(box.url, service.keys[Role.ADMIN], **options)  # type: ignore[arg-type]


async def test_no_answer_of_others_confirms_or_drops_an_event(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a box answers twice, the event waits, with a word each time, and is counted once."""

    async def through(name: str, answer: bytes) -> None:
        async with Box(service.url) as box, client_of(service, box) as client:
            box.say(answer, times=2)
            client.track("click", name)
            await client.flush()
            assert (client.outbox.accepted, client.outbox.refused) == (1, 0), name
            first, second, third = (seen.body for seen in box.seen)
            assert first == second == third, name

    answers = FOREIGN | IN_OUR_WORDS
    await asyncio.gather(*(through(name, answer) for name, answer in answers.items()))
    assert totals_in(service.database_url) == {"": len(answers), **dict.fromkeys(answers, 1)}
    told = [record.getMessage() for record in caplog.records]
    assert sum(text.startswith("1 events wait") for text in told) == 2 * len(answers)


async def test_what_is_asked_is_answered_by_livetally_or_not_at_all(service: Service) -> None:
    """Counts, items and `send`: a foreign answer is waited out; a redirect is said at once."""

    async def asked(name: str, answer: bytes) -> None:
        async with Box(service.url) as box, client_of(service, box) as client:
            event = Event(type="click", subject="red")
            for ask in (
                lambda: client.total("click", "none"),
                lambda: client.send([event]),
                lambda: client.put("van", name.replace(" ", "-"), 1),
            ):
                box.say(answer, times=1)
                if b"\r\nLocation" in answer or b" 303 " in answer:
                    with pytest.raises(Redirected, match="sends us elsewhere"):
                        await ask()
                await ask()

    await asyncio.gather(*(asked(name, answer) for name, answer in FOREIGN.items()))
    assert totals_in(service.database_url)["red"] == len(FOREIGN)


async def test_a_key_goes_to_its_server_only(service: Service) -> None:
    """Where a redirect leads nothing comes, neither a request nor a websocket."""
    async with Box(service.url) as elsewhere, Box(service.url) as box:
        async with client_of(service, box) as client:
            box.say(said("307 Temporary Redirect", Location=elsewhere.url + "/v1/live"), times=3)
            with pytest.raises(Redirected):
                await client.totals("click")
            live = client.live(totals("click"))
            reason = getattr(await anext(live), "reason", "")
            assert "sends us elsewhere" in reason
            assert elsewhere.url in reason
            await anext(live)
            assert isinstance(await anext(live), Snapshot)
            await live.aclose()
        assert elsewhere.seen == []
        upgrades = [seen.head for seen in box.seen if b"/v1/live" in seen.head]
        assert len(upgrades) == 3
        assert not any(service.keys[Role.ADMIN].encode() in head for head in upgrades)


async def test_a_viewer_waits_for_livetally(service: Service) -> None:
    """A websocket that is refused or answered by others is tried again until it is ours."""

    async def watched(answer: bytes) -> None:
        async with Box(service.url) as box, client_of(service, box) as client:
            box.say(answer, times=1)
            async with client.live(totals("click")) as live:
                await anext(live)
                assert live.state == "reconnecting"
                assert isinstance(await anext(live), Snapshot)

    await asyncio.gather(*map(watched, FOREIGN.values()))


async def test_pauses_grow_and_are_as_long_as_asked_for(service: Service) -> None:
    """There is a pause after every failure, a longer one each time, and Retry-After is kept."""
    async with (
        Box(service.url) as hot,
        Box(service.url) as polite,
        client_of(service, hot) as impatient,
        client_of(service, polite) as patient,
    ):
        hot.say(said("200 OK", LOGIN), times=4)
        polite.say(said("429 Too Many Requests", LOGIN, Retry_After="1"), times=1)
        impatient.track("click", "hot")
        patient.track("click", "polite")
        await impatient.flush()
        await patient.flush()
    gaps = [after.at - before.at for before, after in pairwise(hot.seen)]
    assert all(gap >= FIRST_PAUSE_S * 2**n / 4 for n, gap in enumerate(gaps)), gaps
    (gap,) = [after.at - before.at for before, after in pairwise(polite.seen)]
    assert gap >= 1


def test_no_server_decides_how_long_its_clients_are_silent() -> None:
    """Retry-After is a number or a date, and is bounded; nonsense is none."""
    soon = datetime.now(UTC) + timedelta(seconds=30)
    date = soon.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert 20 < retry_after({"Retry-After": date}) <= 30
    for given, wait_s in (
        ("3", 3),
        ("99999999", LONGEST_WAIT_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT_S),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("-1", 0),
        ("soon", 0),
        ("9" * 400, 0),
    ):
        assert retry_after({"Retry-After": given}) == wait_s, given


async def test_only_our_own_word_gives_a_key_up(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that Livetally refuses is said at once and each time, with how much waits; the events
    are kept, and are counted when it is known after all."""
    async with Box(service.url) as box:
        client = client_of(service, box, max_queue=2)
        box.say(said("401 Unauthorized", UNKNOWN_KEY), times=1)
        client.track("click", "red")
        for _ in range(2):
            with pytest.raises(Unauthorized, match="1 events wait"):
                await client.flush()
        client.track("click", "red")
        with pytest.raises(QueueFull, match=r"2 events wait.* not known"):
            client.track("click", "red")
        assert len(box.seen) == 1
        await client.close()
    assert totals_in(service.database_url)["red"] == 2
    assert "1 events wait" in caplog.text


async def test_ids_stay_through_an_outage_longer_than_any_timeout(service: Service) -> None:
    """The events are stored and every answer is lost, for longer than `timeout_s`: they are sent
    again with the ids that they had, in the background and by hand, and count once."""
    events = [Event(type="click", subject="sent"), {"type": "click", "subject": "named", "id": "n"}]
    async with Box(service.url) as box, client_of(service, box, timeout_s=0.3) as client:
        box.swallow(5)
        client.track("click", "tracked")
        await client.flush()
        assert len({seen.body for seen in box.seen}) == 1
        assert box.seen[-1].at - box.seen[0].at > 0.3

        box.swallow(4)
        with pytest.raises(Unavailable):
            await client.send(events)
        box.swallow(0)
        assert (await client.send(events)).duplicates == 2
    assert totals_in(service.database_url) == {"": 3, "tracked": 1, "sent": 1, "named": 1}
    assert query(service.database_url, "SELECT count(*) FROM events") == [(3,)]


async def test_one_bad_event_does_not_spoil_the_others(service: Service) -> None:
    """Where the server refuses a batch whole, halves are sent until it is clear which event it is;
    that one is told with its id."""
    told: list[str] = []
    whole = {"error": {"code": "unstorable_event", "message": "Postgres refuses it."}}
    async with Box(service.url) as box:
        box.say(said("422 Unprocessable", whole), to=lambda seen: b'"bad"' in seen.body)
        async with client_of(service, box, on_refused=lambda id, _: told.append(id)) as client:
            for n in range(9):
                client.track("click", "bad" if n == 5 else "good", id=f"e{n}")
            with pytest.raises(Refused, match=r"1 events were refused.*Postgres"):
                await client.flush()
            with pytest.raises(Refused) as caught:
                await client.send([{"type": "click", "subject": s} for s in ("good", "bad")])
            assert [each.index for each in caught.value.rejected] == [1]
    assert told == ["e5"]
    assert totals_in(service.database_url) == {"": 9, "good": 9}


def test_every_word_of_the_servers_is_known() -> None:
    """Each error that can answer a client is final, or may pass: none is taken for a stranger's."""
    kinds = [server_errors.LivetallyError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    inner = {
        "bad_message",
        "refused_in_part",
        "malformed_object",
        "method_not_allowed",
        "wrong_login",
    }
    inner |= {kind.code for kind in kinds if kind.code.startswith("object_")}
    strangers = {k.code for k in kinds if not may_pass(k.status)} - FINAL.keys() - inner
    assert not strangers
