-- The spine: tenants and keys, the log of events, and what is counted from it.
-- Sessions run with TimeZone = UTC, so that "a day" is the same day for every writer.

CREATE TABLE projects (
    id         integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Only hashes of keys are stored: whoever reads this table can't use it.
CREATE TABLE keys (
    id         integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project    integer     NOT NULL REFERENCES projects (id),
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 63),
    role       text        NOT NULL CHECK (role IN ('write', 'read', 'admin')),
    hash       bytea       NOT NULL UNIQUE CHECK (length(hash) = 32),
    origins    text[]      NOT NULL DEFAULT '{}' CHECK (origins = '{}' OR role = 'write'),
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
-- A name is free again once its key is revoked, so that a key can be rotated under one name.
CREATE UNIQUE INDEX keys_live_name ON keys (project, name) WHERE revoked_at IS NULL;

-- The log. `slot` and `seq` are an event's position: gapless and in order within a slot.
CREATE TABLE events (
    project     integer     NOT NULL,
    slot        integer     NOT NULL,
    seq         bigint      NOT NULL,
    received_at timestamptz NOT NULL,
    id          text        COLLATE "C" NOT NULL,
    type        text        COLLATE "C" NOT NULL,
    subject     text        COLLATE "C" NOT NULL,
    session     text,
    occurred_at timestamptz,
    properties  json
) PARTITION BY RANGE (received_at);
-- A feed is one type's: that it comes first keeps a rare type's feed cheap in a busy project.
CREATE INDEX events_position ON events (project, type, slot, seq);

-- Every id seen today or yesterday: inserting here decides whether an event is new. Apart from
-- `events`, because ids are known for two days and events for as long as they are kept.
-- Each partition has a unique index on (project, id): a unique index of the whole table would
-- have to contain received_at, and would then not be unique on the id.
CREATE TABLE event_ids (
    project     integer     NOT NULL,
    id          text        COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL
) PARTITION BY RANGE (received_at);

-- Grow-only counters: each writing process adds to its own slot, the value is the sum of slots.
-- The row with the empty subject (no event can have it) is the type's grand total.
-- subject_key, because a btree entry holds 2,704 bytes and 1,024 characters can be 4,096: a
-- digest of 16 bytes keeps the index small too. It needs no secrecy, md5 is enough.
-- fillfactor leaves room for updates in place (HOT), which touch no index.
CREATE TABLE totals (
    project     integer NOT NULL,
    type        text    COLLATE "C" NOT NULL,
    subject     text    COLLATE "C" NOT NULL,
    subject_key uuid    GENERATED ALWAYS AS (md5(subject)::uuid) STORED,
    slot        integer NOT NULL,
    n           bigint  NOT NULL,
    PRIMARY KEY (project, type, subject_key, slot)
) WITH (fillfactor = 60);

-- The same by the minute; the slot is in the key so that processes don't queue on one hot row.
CREATE TABLE minutes (
    project     integer     NOT NULL,
    type        text        COLLATE "C" NOT NULL,
    subject_key uuid        NOT NULL,
    minute      timestamptz NOT NULL,
    slot        integer     NOT NULL,
    n           bigint      NOT NULL,
    PRIMARY KEY (project, type, subject_key, minute, slot)
) WITH (fillfactor = 80);

-- The last seq that each slot has given out. Locked by every commit of a project in that slot.
CREATE TABLE slots (
    project integer NOT NULL,
    slot    integer NOT NULL,
    seq     bigint  NOT NULL,
    PRIMARY KEY (project, slot)
) WITH (fillfactor = 50);

-- Makes the partitions of today and the following days, and forgets ids that are more than a
-- full day old. Attaching takes a lock that lets writers go on (CREATE ... PARTITION OF doesn't).
CREATE FUNCTION livetally_roll_partitions(days_ahead integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    today date := (statement_timestamp() AT TIME ZONE 'UTC')::date;
    first date;
    name  text;
    old   record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('livetally partitions'));
    FOR i IN 0..days_ahead LOOP
        first := today + i;
        name := 'events_' || to_char(first, 'YYYYMMDD');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING ALL)', name);
            EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                name, first::timestamp AT TIME ZONE 'UTC', (first + 1)::timestamp AT TIME ZONE 'UTC');
        END IF;
        name := 'event_ids_' || to_char(first, 'YYYYMMDD');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE event_ids)', name);
            EXECUTE format('CREATE UNIQUE INDEX ON %I (project, id)', name);
            EXECUTE format('ALTER TABLE event_ids ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                name, first::timestamp AT TIME ZONE 'UTC', (first + 1)::timestamp AT TIME ZONE 'UTC');
        END IF;
    END LOOP;
    FOR old IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'event_ids'::regclass
          AND c.relname < 'event_ids_' || to_char(today - 1, 'YYYYMMDD')
    LOOP
        EXECUTE format('DROP TABLE %I', old.relname);
    END LOOP;
END
$$;
