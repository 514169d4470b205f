-- name: restore_find
-- The project, locked, and its restore from archive $2, if one was begun.
SELECT p.id, r.begun_at IS NOT NULL AS begun, r.done_at IS NOT NULL AS done, r.slot,
       EXISTS (SELECT FROM slots AS s WHERE s.project = p.id) AS used
FROM projects AS p LEFT JOIN restores AS r ON r.project = p.id AND r.archive = $2
WHERE p.name = $1 FOR UPDATE OF p;

-- name: restore_begin
-- Writes down what belongs into the project ($3 objects). Into an empty one ($5 its positions, {slot:
-- [first, last]}) it goes with its positions: they are taken now, so that whoever writes meanwhile
-- goes on after them. Beside other events ($4 true) it gets a slot that no process ever writes in.
WITH begun AS (
    INSERT INTO restores (project, archive, slot)
    SELECT $1, $2, CASE WHEN $4 THEN (
        SELECT greatest(10000, max(slot) + 1) FROM slots WHERE project = $1) END
    RETURNING slot
),
objects AS (
    INSERT INTO restored_parts (project, object) SELECT $1, unnest($3::text[])
),
positions AS (
    SELECT key::integer AS slot, (value ->> 0)::bigint AS first, (value ->> 1)::bigint AS last
    FROM json_each($5::json) WHERE NOT $4
),
taken AS (
    INSERT INTO slots (project, slot, seq) SELECT $1, slot, last FROM positions
),
archived AS (
    INSERT INTO archive_marks (project, slot, seq) SELECT $1, slot, last FROM positions
),
missing AS (
    INSERT INTO forgotten (project, slot, seq)
    SELECT $1, slot, first - 1 FROM positions WHERE first > 1
)
SELECT slot FROM begun;

-- name: restored
-- What of archive $2 is in project $1 by now.
SELECT parts.object
FROM restored_parts AS parts JOIN projects AS p ON p.id = parts.project
JOIN restores AS r ON r.project = p.id AND r.archive = $2
WHERE p.name = $1 AND parts.done;

-- name: restore_table
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    id text, type text, subject text, session text, occurred_at bigint, received_at bigint,
    slot integer, seq bigint, properties json
) ON COMMIT DELETE ROWS;

-- name: restore_copy
COPY incoming FROM STDIN;

-- name: restore_day
SELECT livetally_add_day($1::date);

-- name: restore_part
-- Stores what is in `incoming`, counts it, and says that object $2 is done. In slot $3, if one is
-- given, events get new positions, and one whose id this database knows is left out. (Days and the
-- rest apart: as one number of microseconds an interval is not exact over 285 years.)
WITH part AS (
    UPDATE restored_parts SET done = true WHERE project = $1 AND object = $2 AND NOT done
    RETURNING project
),
input AS MATERIALIZED (
    SELECT i.*,
           timestamptz 'epoch' + make_interval(days => (received_at / 86400000000)::integer)
               + received_at % 86400000000 * interval '1 microsecond' AS received,
           timestamptz 'epoch' + make_interval(days => (occurred_at / 86400000000)::integer)
               + occurred_at % 86400000000 * interval '1 microsecond' AS occurred
    FROM incoming AS i, part
),
known AS (
    INSERT INTO event_ids (project, id, received_at)
    SELECT $1, id, received FROM input
    WHERE received >= date_trunc('day', statement_timestamp()) - interval '1 day'
      AND ($3::integer IS NULL OR NOT EXISTS (
          SELECT FROM event_ids AS e WHERE e.project = $1 AND e.id = input.id))
    ORDER BY id ON CONFLICT DO NOTHING
    RETURNING id
),
fresh AS MATERIALIZED (
    SELECT input.*, row_number() OVER (ORDER BY slot, seq) AS nth FROM input
    WHERE $3 IS NULL OR received < date_trunc('day', statement_timestamp()) - interval '1 day'
       OR EXISTS (SELECT FROM known WHERE known.id = input.id)
),
advanced AS (
    INSERT INTO slots AS s (project, slot, seq)
    SELECT $1, $3, (SELECT count(*) FROM fresh) WHERE $3 IS NOT NULL
    ON CONFLICT (project, slot) DO UPDATE SET seq = s.seq + excluded.seq
    RETURNING seq
),
placed AS MATERIALIZED (
    SELECT id, type, subject, session, occurred, received, properties, coalesce($3, slot) AS slot,
           coalesce((SELECT a.seq - (SELECT count(*) FROM fresh) FROM advanced AS a) + nth, seq) AS seq
    FROM fresh
),
logged AS (
    INSERT INTO events (project, slot, seq, received_at, id, type, subject, session, occurred_at, properties)
    SELECT $1, slot, seq, received, id, type, subject, session, occurred, properties FROM placed
),
counted AS (
    SELECT type, coalesce(subject, '') AS subject, slot, date_trunc('minute', received) AS minute,
           count(*) AS n
    FROM placed GROUP BY type, slot, 4, GROUPING SETS ((subject), ())
),
added AS (
    INSERT INTO totals AS t (project, type, subject, slot, n)
    SELECT $1, type, subject, slot, sum(n) FROM counted GROUP BY type, subject, slot ORDER BY 2, 3, 4
    ON CONFLICT (project, type, subject_key, slot) DO UPDATE SET n = t.n + excluded.n
),
minuted AS (
    INSERT INTO minutes AS m (project, type, subject_key, minute, slot, n)
    SELECT $1, type, md5(subject)::uuid, minute, slot, n FROM counted ORDER BY type, subject, minute, slot
    ON CONFLICT (project, type, subject_key, minute, slot) DO UPDATE SET n = m.n + excluded.n
),
marked AS (
    INSERT INTO archive_marks AS m (project, slot, seq) SELECT $1, $3, seq FROM advanced
    ON CONFLICT (project, slot) DO UPDATE SET seq = excluded.seq
)
SELECT count(*) AS events FROM placed;

-- name: restore_done
UPDATE restores SET done_at = now() WHERE project = $1 AND archive = $2;
