-- name: commit
-- One batch of events, whole: which ids are new, the log, the counters, the minutes, the positions.
--   $1 text     the events, a JSON array of {project, id, type, subject, session?, occurred_at?, properties?}
--   $2 integer  this process's slot
--   $3 boolean  the caller holds the midnight lock
-- Returns one JSON document; see store.Committed.
--
-- One statement, so one round trip and one transaction. JSON, because msgspec writes it and
-- Postgres reads it faster than arrays, or COPY into a temporary table, at every batch size up to
-- 1,000 (loadtest/README.md). Rows are locked in one order (ids, slots, totals, minutes; by key
-- within each), so that no two writers wait for each other.
WITH
-- For two minutes around midnight (UTC) writers take turns, holding a lock from before this
-- statement began: otherwise one process could count an id into yesterday's partition and another
-- the same id into today's, neither seeing the other's uncommitted row.
midnight AS MATERIALIZED (
    SELECT abs(extract(epoch FROM (statement_timestamp() + interval '12 hours')::time - time '12:00')) < 60 AS near
),
input AS MATERIALIZED (
    SELECT e.*
    FROM ROWS FROM (json_to_recordset($1::json) AS (
        project integer, id text, type text, subject text, session text,
        occurred_at timestamptz, properties json
    )) WITH ORDINALITY AS e (project, id, type, subject, session, occurred_at, properties, n)
    WHERE $3 OR NOT (SELECT near FROM midnight)
),
-- The first of each id within the batch; unknown to yesterday's partition (and, should the
-- database's clock have stepped back, to those ahead); then today's unique index decides.
accepted AS (
    INSERT INTO event_ids (project, id, received_at)
    SELECT d.project, d.id, statement_timestamp()
    FROM (SELECT DISTINCT project, id FROM input) AS d
    WHERE NOT EXISTS (
        SELECT FROM event_ids AS known
        WHERE known.project = d.project AND known.id = d.id
          AND known.received_at >= date_trunc('day', statement_timestamp()) - interval '1 day'
          AND (known.received_at < date_trunc('day', statement_timestamp())
               OR known.received_at >= date_trunc('day', statement_timestamp()) + interval '1 day'))
    ORDER BY d.project, d.id
    ON CONFLICT DO NOTHING
    RETURNING project, id
),
fresh AS MATERIALIZED (
    SELECT i.*, row_number() OVER (PARTITION BY project ORDER BY n) AS nth
    FROM (SELECT DISTINCT ON (project, id) * FROM input ORDER BY project, id, n) AS i
    -- Not a join: how many are accepted is unknown to the planner, which then nests loops.
    WHERE EXISTS (SELECT FROM accepted AS a WHERE a.project = i.project AND a.id = i.id)
),
sizes AS MATERIALIZED (
    SELECT project, count(*) AS size FROM fresh GROUP BY project
),
-- Locks the slot's row until the commit: positions are gapless and become visible in order.
advanced AS (
    INSERT INTO slots AS s (project, slot, seq)
    SELECT project, $2, size FROM sizes ORDER BY project
    ON CONFLICT (project, slot) DO UPDATE SET seq = s.seq + excluded.seq
    RETURNING project, seq
),
logged AS (
    INSERT INTO events (project, slot, seq, received_at, id, type, subject, session, occurred_at, properties)
    SELECT project, $2, seq - size + nth, statement_timestamp(),
           id, type, subject, session, occurred_at, properties
    FROM fresh JOIN sizes USING (project) JOIN advanced USING (project)
    ORDER BY project, nth
),
-- For each type its subjects, and the grand total under the empty subject.
counted AS MATERIALIZED (
    SELECT project, type, coalesce(subject, '') AS subject, count(*) AS n
    FROM fresh JOIN advanced USING (project)
    GROUP BY project, type, GROUPING SETS ((subject), ())
),
added AS (
    INSERT INTO totals AS t (project, type, subject, slot, n)
    SELECT project, type, subject, $2, n FROM counted ORDER BY project, type, subject
    ON CONFLICT (project, type, subject_key, slot) DO UPDATE SET n = t.n + excluded.n
    RETURNING project, type, subject, n
),
minuted AS (
    INSERT INTO minutes AS m (project, type, subject_key, minute, slot, n)
    SELECT project, type, md5(subject)::uuid, date_trunc('minute', statement_timestamp()), $2, n
    FROM counted ORDER BY project, type, subject
    ON CONFLICT (project, type, subject_key, minute, slot) DO UPDATE SET n = m.n + excluded.n
)
SELECT json_build_object(
    'midnight', (SELECT near AND NOT $3 FROM midnight),
    'accepted', (SELECT coalesce(json_agg(n - 1), '[]') FROM fresh),
    'positions', (SELECT coalesce(json_agg(json_build_array(project, seq - size + 1, seq)), '[]')
                  FROM advanced JOIN sizes USING (project)),
    'totals', (SELECT coalesce(json_agg(json_build_array(project, type, subject, n)), '[]') FROM added)
)::text;

-- name: midnight_lock
SELECT pg_advisory_xact_lock(hashtext('livetally midnight'));

-- name: take_slot
-- The lowest slot that no other session holds. LIMIT stops trying at the first success.
SELECT slot FROM generate_series(0, $2::integer - 1) AS slot
WHERE pg_try_advisory_lock($1::integer, slot) LIMIT 1;
