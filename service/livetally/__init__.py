"""Livetally counts what happens and shows the exact totals, live, on every open dashboard.

The journey of an event, a line a file; read them in this order:

    ingest      POST /v1/events: who sends, and what?            -> events, auth
    events      bytes to checked events, each refusal with its reason
    auth        keys: which project, which role, from which origin
    batcher     requests that arrive together share one transaction
    store       that transaction (sql/commit.sql), and this process's counter slot
    publisher   after the commit: what changed, one Redis message a project
    hub         merges those messages into the totals that are being watched
    live        the websocket: subscribe, snapshot, updates, track

Around it:

    app         all wiring, in start order              serve      a process's life, and several
    cli         the command `livetally`                 config     LIVETALLY_*, read once
    demo        `make run`: everything on a laptop      local      Postgres and Redis from wheels
    stats       GET /v1/stats                           keys       making, listing, revoking keys
    database    connections, migrations, partitions     sql/       all SQL, named and commented
    edge        around every request: id, CORS, errors  errors     every refusal and its status
    health      /healthz, /readyz, heartbeats           metrics    /metrics
    frames      what goes over a websocket, as bytes    logs       JSON lines
    pages       the built front end

Imports go one way, down the journey: see tests/test_structure.py.
"""

__version__ = "0.1.0"
