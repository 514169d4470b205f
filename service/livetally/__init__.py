"""Livetally counts what happens and shows the exact totals, live, on every open dashboard.

The journey of an event, from a POST to a viewer's frame; read the files in this order:

    ingest/http            POST /v1/events: who sends, and what?
    web/auth               keys: which project and role, from which origin
    ingest/events          bytes to checked events, each rejection with its reason
    ingest/batcher         requests that arrive together share one transaction
    ingest/store           that transaction (db/sql/commit.sql), in this process's counter slot
    live/announcer         after the commit: it is shown here, and told to the other processes
    live/publisher         what changed, one Redis message a project
    live/listener          the other end: what other processes committed
    live/hub               keeps what is watched here equal to Postgres
    live/topics/totals     what a viewer of totals is told
    live/topics/counters   ... of the counts as they are now, at most once a tick
    live/topics/base       what all topics do: who watches, who lags
    live/frames            a message as bytes, once for all
    live/viewer            writes to one connection

A folder is a role; its `__init__` says what each file is. From the top down, and each imports only
from those below it (tests/repo/test_structure.py has the exact rule):

    cli       the command `livetally`
    dev       all on one machine: for a laptop and for tests
    worker    `livetally worker`: what works behind the scenes
    server    `livetally serve`: all wiring, and the life of a process
    site      the pages, /docs and /examples
    compat    the compatibility APIs: other systems' wire formats, by translation
    archive   events out to Parquet in object storage, and back
    queue     SQS in
    api       what can be asked: stats, pages, items, pointers, keys
    live      what is watched, pushed as it changes
    ingest    POST /v1/events: from bytes to disk
    web       around each request: keys, limits, errors, what a route says of itself
    db        Postgres: connections, migrations, all SQL
    ops       health, metrics, logs, traces
    client    the Python SDK
    schema    what is sent and received, as types
    base      settings, errors, clients of AWS
"""

__version__ = "0.1.0"
