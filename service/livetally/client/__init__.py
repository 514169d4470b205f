"""Livetally from Python: count things, ask for counts, keep items, watch everything live.

    from livetally.client import Client, totals

    with Client("http://127.0.0.1:8080", key) as client:
        client.track("click", "red")                    # sent in the background, counted once
        client.flush()                                  # now it is on disk
        print(client.totals("click").total)
        for message in client.live(totals("click")):    # comes back by itself when it is cut off
            print(message)

`AsyncClient` is the same with `await`. The parts:

    requests    AsyncClient: what can be asked and sent
    sending     its half that sends events, and ends well
    threads     Client: the same for threads
    background  the thread with a loop in which that works, until the process ends
    outbox      events that wait to be sent: bounds, batches, retries
    events      an event as it is sent, with an id; and what became of it
    live        topics, and watching one: reconnect, resume
    wire        one request, tried again where that is safe
    answers     what an answer means; only Livetally's own count
    errors      what can go wrong

Nothing of the server is needed to import it, only aiohttp and msgspec.
"""

from ..schema.http import (
    Ack,
    Article,
    Bucket,
    Item,
    ItemPage,
    ItemVersion,
    Page,
    Pages,
    Position,
    Reason,
    Referrer,
    Rejected,
    RemovedItem,
    Series,
    StoredItem,
    Subject,
    SubjectTotal,
    Totals,
)
from ..schema.live import Events, FeedEvent, Fresh, Gap, LiveItem, Snapshot, Stale, Update
from .errors import (
    ClientError,
    Closed,
    Conflict,
    Forbidden,
    NotFound,
    QueueFull,
    Redirected,
    Refused,
    Unauthorized,
    Unavailable,
)
from .events import Event
from .live import AsyncLive, LiveMessage, Reconnecting, Topic, feed, item, items, totals
from .requests import AsyncClient
from .threads import Client, Live

__all__ = [
    "Ack",
    "Article",
    "AsyncClient",
    "AsyncLive",
    "Bucket",
    "Client",
    "ClientError",
    "Closed",
    "Conflict",
    "Event",
    "Events",
    "FeedEvent",
    "Forbidden",
    "Fresh",
    "Gap",
    "Item",
    "ItemPage",
    "ItemVersion",
    "Live",
    "LiveItem",
    "LiveMessage",
    "NotFound",
    "Page",
    "Pages",
    "Position",
    "QueueFull",
    "Reason",
    "Reconnecting",
    "Redirected",
    "Referrer",
    "Refused",
    "Rejected",
    "RemovedItem",
    "Series",
    "Snapshot",
    "Stale",
    "StoredItem",
    "Subject",
    "SubjectTotal",
    "Topic",
    "Totals",
    "Unauthorized",
    "Unavailable",
    "Update",
    "feed",
    "item",
    "items",
    "totals",
]
