"""The journey of an event, end to end. Read this test first."""

from typing import Any

from livetally.schema.keys import Role
from service.tests.support.postgres import query, totals_in
from service.tests.support.server import Service


async def test_an_event_is_stored_counted_and_shown(service: Service) -> None:
    """One event goes in; Postgres holds it, the stats count it, and an open viewer is told."""
    async with service.live() as viewer:
        snapshot = await viewer.subscribe(1, {"totals": "click"})
        assert snapshot == {"type": "snapshot", "id": 1, "totals": {}, "total": 0}

        status, answer = await service.post({"id": "a", "type": "click", "subject": "red"})

        assert (status, answer) == (200, {"accepted": 1, "duplicates": 0, "rejected": []})
        assert query(service.database_url, "SELECT id, type, subject, slot, seq FROM events") == [
            ("a", "click", "red", 0, 1)
        ]
        assert totals_in(service.database_url) == {"red": 1, "": 1}
        assert await service.stats(type="click") == {
            "type": "click",
            "total": 1,
            "subjects": [{"subject": "red", "total": 1}],
        }
        update: dict[str, Any] = await viewer.receive()
        assert update == {"type": "update", "id": 1, "totals": {"red": 1}, "total": 1}


async def test_the_same_id_again_counts_nothing(service: Service) -> None:
    """A retry is answered as a duplicate; totals, minutes and the log stay as they were."""
    event = {"id": "a", "type": "click", "subject": "red"}
    await service.post(event)
    counted = query(service.database_url, "SELECT * FROM minutes ORDER BY subject_key")

    status, answer = await service.post([event, {**event, "subject": "blue"}])

    assert (status, answer) == (200, {"accepted": 0, "duplicates": 2, "rejected": []})
    assert totals_in(service.database_url) == {"red": 1, "": 1}
    assert query(service.database_url, "SELECT * FROM minutes ORDER BY subject_key") == counted
    assert query(service.database_url, "SELECT seq FROM slots") == [(1,)]


async def test_events_over_the_websocket_are_acknowledged_after_the_commit(
    service: Service,
) -> None:
    """`track` goes the same way: the ack comes when Postgres has the events."""
    async with service.live(service.keys[Role.WRITE]) as tracker:
        events = [{"id": "a", "type": "click", "subject": "red"}, {"type": "click"}]
        await tracker.send(type="track", ref="r", events=events)

        ack = await tracker.receive()

        assert totals_in(service.database_url) == {"red": 1, "": 1}
    assert (ack["type"], ack["ref"], ack["accepted"], ack["duplicates"]) == ("ack", "r", 1, 0)
    assert [rejection["index"] for rejection in ack["rejected"]] == [1]
