"""Livetally counts what happens and shows the exact totals, live, on every open dashboard.

The journey of an event, a line a file; read them in this order:

    ingest        POST /v1/events: who sends, and what?            -> events, auth
    events        bytes to checked events, each refusal with its reason
    auth          keys: which project, which role, from which origin
    batcher       requests that arrive together share one transaction
    store         that transaction (sql/commit.sql), and this process's counter slot
    publisher     after the commit: what changed, one Redis message a project
    listener      the other end: what other processes committed
    hub           keeps what is watched here equal to Postgres     -> topic
    live          the websocket: subscribe, snapshot, updates, track
    sse           the same to look at only, as server-sent events
    handshake     how a websocket is opened
    connections   all of them: pings, silence, keys, the end       -> viewer

What can be watched, all of them a `topic`:

    totals        grow-only counters, merged by maximum            -> totals_topic
    log_topic     what is read from the log, by positions in it
    feed          every event of a type                            -> log_topic
    pointers      who points where on a page, now                  -> log_topic
    items_topic   keyed values, the latest                         -> item
    admin_topic   the largest totals of all projects

What else can be asked:

    stats         GET /v1/stats: totals and series              -> history
    items         /v1/items: keyed values that change
    page_views    GET /v1/pages: views of pages and articles, and referrers
    verify        GET /v1/verify: do log, counts and viewers agree?
    key_admin     /admin/v1/projects, /admin/v1/keys
    processes     /admin/v1/processes: who serves, how busy
    pointer_history    where people pointed: heatmap, sessions, replay

Older systems' clients work as they are, by translation (protocols/):

    paths         whose request it is                       actions       their events
    colour        format 1: stats, whole lists pushed       -> colour_socket, colour_wires
    results       format 2: Rails, ActionCable              -> cable, channels
    websocket     what their websockets have in common
    ws            /ws: who is it, by a name or the first message?   -> websocket
    views         format 3, page views for a blog                   -> hosts
    item_socket   format 4, items as DynamoDB writes them
    collector     format 5, clicks and page views with HTTP Basic   -> detail
    shapes        what they send and get, as types

Behind the scenes, `livetally worker` (workers/):

    worker        all wiring of it, and how its loops end
    queue         SQS in: receive, hand on, delete after the commit    -> sqs
    contents      a message taken apart                                 -> message
    inbox         S3's objects as streams                               -> lines
    records       a JSON text: event, item, or a device's report?
    intake        from there to the batcher, however long Postgres is away
    refusals      why messages were refused, for later
    dead_letters  what ended there, and its second chance     -> queue_admin
    aws           clients, and failures by cause    aws_setup   makes queue, topic and bucket
    archive       events out: to Parquet, each once             -> ledger, parquet, manifest
    objects       where an archive is                           -> bucket, directory
    schema        its columns and names
    export        events of any time out                        -> formats
    restore       an archive back into a database
    rollup        minutes to hours to days; old days of the log go

For those who ask from elsewhere:

    client/       the Python SDK
    answers       what is answered, as types            messages  the same of the live protocol
    docs/         /docs, of these two:
    openapi       every route, /openapi.json            asyncapi  the live protocol
    described     what a route says of itself

Around it:

    app           all wiring, in start order            serve     a process's life, and several
    ecs           hears early that a task is to stop
    cli/          the command `livetally`               config    LIVETALLY_*, read once
    demo          `make run`: all on a laptop           local     Postgres and Redis from wheels
    demo_aws      `make run-aws`                        local_aws    an AWS of one's own
    database      connections, migrations               sql/      all SQL, named and commented
    keys          making, listing, revoking keys        logs      JSON lines
    edge          around each request: id, CORS, errors as JSON
    asked         its query and body, checked
    limits        token buckets of keys and addresses        address   whose request it is
    errors        every refusal and its status          metrics   what is counted
    tracing       traces for OpenTelemetry, where they are asked for
    health        is it well? heartbeats                pages     the built front end
    loops         background loops      operations    /healthz, /readyz, /metrics
    probe         `livetally health`, for containers    emf   metrics for CloudWatch, logged
    service_role  the database role that the service runs as
    topics        what a client may ask to watch        viewer    writes to one connection
    examples      /examples, for older systems' clients
    masthead      the top and the colours of /docs and /examples
    frames        messages as bytes                     partitions   day partitions, made ahead

Imports go one way, down the journey: see tests/test_structure.py.
"""

__version__ = "0.1.0"
