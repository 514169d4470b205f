-- The archive: how far the log has been written to object storage, and what is on its way there.

-- Up to which position each slot's events have been given to a plan. Every event belongs to exactly
-- one plan: a plan takes a slot's events from the mark on, and moves the mark, in one transaction.
CREATE TABLE archive_marks (
    project integer NOT NULL,
    slot    integer NOT NULL,
    seq     bigint  NOT NULL,
    PRIMARY KEY (project, slot)
);

-- For each project the number of its last plan, when a plan last left nothing waiting, and how many
-- events have been archived.
CREATE TABLE archived (
    project      integer PRIMARY KEY,
    plan         bigint  NOT NULL,
    caught_up_at timestamptz,
    events       bigint  NOT NULL DEFAULT 0
);

-- Plans under way; a finished one is a manifest in the archive, and no row here any more. The token
-- is part of its objects' names: no other database, and no restored copy of this one, can ever write
-- over them.
CREATE TABLE archive_plans (
    project integer NOT NULL,
    number  bigint  NOT NULL,
    token   text    NOT NULL,
    events  bigint  NOT NULL,
    ranges  json    NOT NULL, -- {slot: [first seq, last seq]}
    PRIMARY KEY (project, number)
);

-- Each object of a plan: the events of one type that were received in one hour. It is written down
-- here before it is uploaded, so that whoever does it again after a crash writes the same events
-- under the same name. `id` is also the advisory lock of the worker that is at it.
CREATE TABLE archive_parts (
    id                integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project           integer     NOT NULL,
    plan              bigint      NOT NULL,
    object            text        NOT NULL UNIQUE,
    type              text        COLLATE "C" NOT NULL,
    hour              timestamptz NOT NULL,
    ranges            json        NOT NULL,
    events            bigint      NOT NULL,
    bytes             bigint      NOT NULL, -- about, of its texts
    first_received_at timestamptz NOT NULL,
    last_received_at  timestamptz NOT NULL,
    stored_bytes      bigint,               -- null until it is stored
    sha256            text,
    FOREIGN KEY (project, plan) REFERENCES archive_plans (project, number) ON DELETE CASCADE
);
CREATE INDEX archive_parts_plan ON archive_parts (project, plan);

-- Makes the partitions of a day that isn't among those made ahead: a day that is restored. Ids are
-- known today and yesterday.
CREATE FUNCTION livetally_add_day(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text := 'events_' || to_char(day, 'YYYYMMDD');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('livetally partitions'));
    IF to_regclass(name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    END IF;
    name := 'event_ids_' || to_char(day, 'YYYYMMDD');
    IF day >= (statement_timestamp() AT TIME ZONE 'UTC')::date - 1 AND to_regclass(name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE event_ids)', name);
        EXECUTE format('CREATE UNIQUE INDEX ON %I (project, id)', name);
        EXECUTE format('ALTER TABLE event_ids ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    END IF;
END
$$;

-- Drops the oldest day of the log if it is over for `keep_days` whole days. With an archive (given,
-- or ever written to) every event of it must be in a finished plan. Returns null if no day is old
-- enough; else the day, whether it was dropped, and if not, how many events are not archived yet.
-- A reader of the log can hold the lock that this needs; writers would queue behind it, hence the
-- time-out.
CREATE FUNCTION livetally_retire_day(keep_days integer, archive boolean) RETURNS json
LANGUAGE plpgsql SET lock_timeout = '300ms' AS $$
DECLARE
    oldest date;
    waiting bigint := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('livetally partitions'));
    SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD')) INTO oldest
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'events'::regclass AND c.relname ~ '^events_\d{8}$';
    IF oldest IS NULL
       OR oldest >= (statement_timestamp() AT TIME ZONE 'UTC')::date - keep_days THEN
        RETURN NULL;
    END IF;
    IF archive OR EXISTS (SELECT FROM archived) THEN
        EXECUTE format(
            'SELECT count(*) FROM %I AS e
             WHERE seq > coalesce((SELECT seq FROM archive_marks AS m
                                   WHERE m.project = e.project AND m.slot = e.slot), 0)',
            'events_' || to_char(oldest, 'YYYYMMDD')) INTO waiting;
        SELECT waiting + coalesce(sum(events), 0) INTO waiting FROM archive_parts
        WHERE hour >= oldest::timestamp AT TIME ZONE 'UTC'
          AND hour < (oldest + 1)::timestamp AT TIME ZONE 'UTC';
    END IF;
    IF waiting = 0 THEN
        PERFORM livetally_forget_day(oldest);
    END IF;
    RETURN json_build_object('day', oldest, 'dropped', waiting = 0, 'waiting', waiting);
END
$$;

-- Restores under way or done: which objects of an archive belong into this database, and are in it.
CREATE TABLE restores (
    archive  text        NOT NULL,
    project  integer     NOT NULL,
    slot     integer,    -- all of it in one new slot; null: in the slots that it had
    begun_at timestamptz NOT NULL DEFAULT now(),
    done_at  timestamptz,
    PRIMARY KEY (archive, project)
);
CREATE TABLE restored_parts (
    project integer NOT NULL,
    object  text    NOT NULL,
    done    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (project, object)
);
