"""After a commit: shown here, and told to the others, each project its own change."""

import asyncio

import msgspec

from livetally.base.config import Config
from livetally.ingest.store import Committed
from livetally.live.announcer import changes
from livetally.live.publisher import channel, connect_redis
from livetally.ops.health import Heartbeat
from livetally.schema.changes import Change, ItemsChanged
from livetally.server.services import make_services

TWO_PROJECTS = Committed(
    midnight=False,
    accepted=[0, 2],
    positions=[(1, 5, 6), (2, 9, 9)],
    totals=[(1, "click", "", 7), (1, "click", "red", 4), (2, "hover", "blue", 1)],
    slot=3,
)


def test_each_project_is_told_its_own_counts_and_positions() -> None:
    """A batch of two projects' events is two changes; neither holds a count of the other."""
    one, two = changes(TWO_PROJECTS, "me", "00-trace")
    assert (one.project, one.slot, one.first, one.last) == (1, 3, 5, 6)
    assert one.totals == {"click": {"": 7, "red": 4}}
    assert (two.project, two.slot, two.first, two.last) == (2, 3, 9, 9)
    assert two.totals == {"hover": {"blue": 1}}
    assert {one.origin, two.origin} == {"me"}
    assert {one.trace, two.trace} == {"00-trace"}


async def test_a_commit_is_published_to_each_projects_channel(redis_url: str) -> None:
    """What the store says it did, and items' new versions, go out under this process's name, in
    order; the events that were new are counted."""
    services = make_services(Config(database_url="postgresql://127.0.0.1/x", redis_url=redis_url))
    announcer = services.announcer
    redis = connect_redis(redis_url)
    async with asyncio.timeout(20), redis.pubsub(ignore_subscribe_messages=True) as heard:
        await heard.subscribe(channel(1), channel(2))
        announcer.committed(TWO_PROJECTS)
        announcer.items_changed(2, "van", [("3", 8)])
        sending = asyncio.create_task(
            services.publisher.run(Heartbeat(services.health, "publisher"))
        )
        told = []
        async for message in heard.listen():
            told.append((message["channel"].decode(), message["data"]))
            if len(told) == 3:
                break
        sending.cancel()
    decoded = [msgspec.json.decode(data, type=Change | ItemsChanged) for _, data in told]
    assert [name for name, _ in told] == [channel(1), channel(2), channel(2)]
    assert [type(each) for each in decoded] == [Change, Change, ItemsChanged]
    assert {each.origin for each in decoded} == {announcer.origin}
    assert announcer.accepted == 2
    await redis.aclose()
    await services.redis.aclose()
