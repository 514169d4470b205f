"""Where people pointed: heatmap, sessions and replay, from the log, whatever is in it."""

from typing import Any

import pytest

from livetally.schema.keys import Role
from service.tests.support.postgres import make_key, query
from service.tests.support.server import Service

PAGE = "/pricing?a=ä&b=\u202e<script>"
ALL = ("heatmap", "sessions", "replay")


def at(session: str | None, properties: object, page: str = PAGE, **more: object) -> dict[str, Any]:
    return {
        "type": "pointer",
        "subject": page,
        "session": session,
        "properties": properties,
        **more,
    }


async def ask(
    service: Service, what: str, role: Role = Role.ADMIN, **asked: object
) -> tuple[int, dict[str, Any]]:
    headers = {"x-api-key": service.keys[role]}
    parameters = {name.rstrip("_"): str(value) for name, value in asked.items()}
    url = f"/admin/v1/{what}"
    async with service.http.get(url, headers=headers, params=parameters) as response:
        return response.status, await response.json()


async def test_a_heatmap_counts_by_cell(service: Service) -> None:
    """Every position of the page and time is in its cell, those on the far edges in the last; other
    pages, types and projects are not in it."""
    where = [(0, 0), (0.26, 0.1), (0.26, 0.1), (0.5, 0.5), (1, 1), (0.999, 0.999)]
    await service.post(
        [at("s", {"x": x, "y": y, "width": 1200, "height": 3000}) for x, y in where]
        + [at("s", {"x": 0.5, "y": 0.5}, page="/about")]
        + [{"type": "click", "subject": PAGE, "properties": {"x": 0.1, "y": 0.1}}]
    )
    other = await make_key(service.database_url, "other", Role.WRITE)
    await service.post(at("o", {"x": 0, "y": 0}), key=other)

    status, heat = await ask(service, "heatmap", page=PAGE, columns=4, rows=2)
    assert status == 200
    assert heat["cells"] == [[0, 1], [1, 2], [6, 1], [7, 2]]
    assert (heat["total"], heat["since"]) == (6, None)
    assert (heat["width"], heat["height"]) == (1200, 3000)
    _, theirs = await ask(service, "heatmap", page=PAGE, columns=1, rows=1, project="other")
    assert theirs["cells"] == [[0, 1]]


@pytest.mark.parametrize("what", ALL)
async def test_whatever_somebody_sent_does_no_harm(service: Service, what: str) -> None:
    """A write key may be public: positions of any shape are left out, the good one is shown."""
    hostile: list[Any] = [
        {"x": "0.5; DROP TABLE events", "y": 0.5},
        {"x": -0.1, "y": 0.5},
        {"x": 1.01, "y": 0.5},
        {"x": 1e308, "y": 1e-308},
        {"x": 12345678901234567890123, "y": 0.1},
        {"x": None, "y": [1]},
        {"x": {"x": 0.5}, "y": True},
        {"y": 0.5, "note": "\U0001f600", "width": 10**30, "height": -5},
        {},
        None,
    ]
    await service.post([at("bad", each) for each in hostile])
    raw = b'{"type":"pointer","subject":"/","session":"raw","properties":{"x":1e999,"y":%s}}'
    for value in (b"0.5", b'"\\ud800"', b'0.5,"z":"\\udc00\\ud800"'):
        body = raw % value
        async with service.http.post(
            "/v1/events",
            data=body,
            headers={"x-api-key": service.keys[Role.WRITE], "content-type": "application/json"},
        ) as response:
            assert response.status in (200, 400, 422)
    await service.post([at("good", {"x": 5e-05, "y": 0.5, "down": True})])
    for page in (PAGE, "/"):
        status, found = await ask(service, what, page=page, **_session(what, "good"))
        assert status == 200, (page, found)
        if page == PAGE and what == "heatmap":
            assert found["total"] == 1
        elif page == PAGE and what == "replay":
            assert [move[1:] for move in found["moves"]] == [[5e-05, 0.5, True]]


def _session(what: str, session: str) -> dict[str, str]:
    return {"session": session} if what == "replay" else {}


async def test_sessions_and_their_ways(service: Service) -> None:
    """Sessions come with their times and moves, the latest first; a replay has one session's moves
    by the browser's clock, however they arrived."""
    await service.post([at("first", {"x": 0.1, "y": 0.1})])
    moves = [
        at("second", {"x": 0.1 * n, "y": 0.5}, occurred_at=f"2026-11-21T10:00:0{n}Z")
        for n in (3, 1, 2)
    ]
    await service.post(moves)
    _, found = await ask(service, "sessions", page=PAGE)
    assert [(each["session"], each["moves"]) for each in found["sessions"]] == [
        ("second", 3),
        ("first", 1),
    ]
    _, way = await ask(service, "replay", page=PAGE, session="second")
    assert [(move[0][17:19], round(move[1], 1)) for move in way["moves"]] == [
        ("01", 0.1),
        ("02", 0.2),
        ("03", 0.3),
    ]
    assert way["more"] is False
    _, one = await ask(service, "sessions", page=PAGE, limit=1)
    assert [each["session"] for each in one["sessions"]] == ["second"]
    assert (await ask(service, "replay", page=PAGE, session="nobody"))[1]["moves"] == []


async def test_an_answer_s_cost_is_bounded(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more events than are read, the latest count, and `since` says so; a long way is cut, and
    says so. What is read comes from the index of pointers."""
    monkeypatch.setattr("livetally.api.pointer_history.MAX_EVENTS", 5)
    monkeypatch.setattr("livetally.api.pointer_history.MAX_MOVES", 3)
    for n in range(8):
        await service.post(at("s", {"x": n / 10, "y": 0}))
    _, heat = await ask(service, "heatmap", page=PAGE, columns=10, rows=1)
    assert [cell for cell, _ in heat["cells"]] == [3, 4, 5, 6, 7]
    assert heat["since"] is not None
    _, way = await ask(service, "replay", page=PAGE, session="s")
    assert ([move[1] for move in way["moves"]], way["more"]) == ([0.3, 0.4, 0.5], True)

    # Of so few rows, what is cheaper is a guess: asked is whether the index can answer it.
    plan = "\n".join(
        row[0]
        for row in query(
            service.database_url + "?options=-c%20enable_seqscan%3Doff",
            "EXPLAIN SELECT 1 FROM events WHERE project = 1 AND type = 'pointer'"
            " AND md5(subject) = md5('/') AND received_at >= now() - interval '1 hour'"
            " AND received_at < now() ORDER BY received_at DESC LIMIT 5",
        )
    )
    assert "md5" in plan
    assert "Index Cond" in plan


HOSTILE: list[tuple[dict[str, object], int]] = [
    ({}, 400),
    ({"page": ""}, 400),
    ({"page": "x" * 1025}, 400),
    ({"page": "a\0b"}, 400),
    (
        {"page": "/", "heatmap.columns": 201, "sessions.limit": 1001, "replay.session": "s" * 129},
        400,
    ),
    ({"page": "/", "from_": "yesterday"}, 400),
    ({"page": "/", "from_": "0001-01-01T00:00:00+14:00"}, 422),
    ({"page": "/", "to": "9999-12-31T23:59:59-14:00"}, 422),
    ({"page": "/", "from_": "2026-01-01T00:00:00Z", "to": "2026-02-02T00:00:00Z"}, 422),
    ({"page": "/", "project": "none"}, 404),
    ({"page": "/", "project": "a" * 5000}, 404),
]


async def test_hostile_questions(service: Service) -> None:
    """What makes no sense is refused in our form, by each of the three."""
    for what in ALL:
        for given, status in HOSTILE:
            own = {
                name.partition(".")[2]: value
                for name, value in given.items()
                if name.startswith(what)
            }
            asked = {name: value for name, value in given.items() if "." not in name}
            got, answer = await ask(service, what, **{**_session(what, "s"), **asked, **own})
            assert (got, answer["error"].keys()) == (status, {"code", "message"}), (what, given)


async def test_only_admin_keys_may(service: Service) -> None:
    """Where people pointed is nobody else's to see."""
    for role in (Role.WRITE, Role.READ, Role.READ_WRITE):
        for what in ALL:
            assert (await ask(service, what, role, page="/"))[0] == 403
