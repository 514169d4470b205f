-- name: archive_due
-- Projects with events in no plan: $1 of them make a plan at once, fewer do if the last time that
-- nothing waited is $2 seconds ago (or, the clock having stepped back, to come). At most $3 plans
-- of a project are under way.
SELECT s.project, p.name
FROM slots AS s
JOIN projects AS p ON p.id = s.project
LEFT JOIN archive_marks AS m ON m.project = s.project AND m.slot = s.slot
LEFT JOIN forgotten AS f ON f.project = s.project AND f.slot = s.slot
LEFT JOIN archived AS a ON a.project = s.project
WHERE s.seq > coalesce(greatest(m.seq, f.seq), 0)
  AND (SELECT count(*) FROM archive_plans AS u WHERE u.project = s.project) < $3
GROUP BY s.project, p.name, a.caught_up_at
HAVING sum(s.seq - coalesce(greatest(m.seq, f.seq), 0)) >= $1
    OR coalesce(a.caught_up_at, '-infinity') <= now() - $2::double precision * interval '1 second'
    OR a.caught_up_at > now()
ORDER BY a.caught_up_at NULLS FIRST;

-- name: archive_lock
-- One worker at a time plans for a project ($2).
SELECT pg_try_advisory_xact_lock($1::integer, $2::integer) AS locked;

-- name: archive_look
-- What a project's next plan would hold, $2 events at most. `ranges` is [[slot, after, upto, seq]…]:
-- the events of each slot after `after`, up to `upto`, of the `seq` that there are; slots with few
-- come first, so that none starves. All of them are
-- committed, because a slot's row is locked until its events are. `groups` is what they come to, by
-- type, hour in which they were received, and slot; the events' index begins with the type, so each
-- type is looked up on its own (every type has a total).
WITH RECURSIVE types AS (
    (SELECT type FROM totals WHERE project = $1 ORDER BY type LIMIT 1)
    UNION ALL
    SELECT (SELECT t.type FROM totals AS t WHERE t.project = $1 AND t.type > types.type
            ORDER BY t.type LIMIT 1)
    FROM types WHERE types.type IS NOT NULL
),
waiting AS (
    SELECT s.slot, s.seq, coalesce(greatest(m.seq, f.seq), 0) AS after
    FROM slots AS s
    LEFT JOIN archive_marks AS m ON m.project = s.project AND m.slot = s.slot
    LEFT JOIN forgotten AS f ON f.project = s.project AND f.slot = s.slot
    WHERE s.project = $1
),
shared AS (
    SELECT slot, seq, after,
           $2::bigint - coalesce(sum(seq - after) OVER (
               ORDER BY seq - after, slot ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS room
    FROM waiting WHERE seq > after
),
ranges AS MATERIALIZED (
    SELECT slot, after, least(seq, after + greatest(room, 0))::bigint AS upto, seq FROM shared
),
groups AS (
    SELECT t.type, e.hour, r.slot, e.first, e.last, e.events, e.bytes, e.oldest, e.newest
    FROM ranges AS r CROSS JOIN types AS t CROSS JOIN LATERAL (
        SELECT date_trunc('hour', received_at) AS hour, min(seq) AS first, max(seq) AS last,
               count(*) AS events, min(received_at) AS oldest, max(received_at) AS newest,
               sum(octet_length(id) + octet_length(subject) + coalesce(octet_length(session), 0)
                   + coalesce(octet_length(properties::text), 0) + 40) AS bytes
        FROM events
        WHERE project = $1 AND type = t.type AND slot = r.slot AND seq > r.after AND seq <= r.upto
        GROUP BY 1
    ) AS e
    WHERE t.type IS NOT NULL
)
SELECT json_build_object(
    'ranges', (SELECT coalesce(json_agg(json_build_array(slot, after, upto, seq)), '[]') FROM ranges),
    'groups', (SELECT coalesce(json_agg(groups ORDER BY type, hour, slot), '[]') FROM groups)
)::text;

-- name: archive_plan
-- Writes a plan down ($2 its token, $3 events, $4 ranges {slot: [first, last]}, $6 its parts), moves
-- the marks, and remembers when nothing was left waiting ($5). The number is $7, found by
-- `archive_number` under the same lock.
WITH numbered AS (
    INSERT INTO archived AS a (project, plan, caught_up_at)
    VALUES ($1, $7, CASE WHEN $5 THEN now() END)
    ON CONFLICT (project) DO UPDATE
        SET plan = excluded.plan, caught_up_at = coalesce(excluded.caught_up_at, a.caught_up_at)
),
planned AS (
    INSERT INTO archive_plans (project, number, token, events, ranges)
    VALUES ($1, $7, $2, $3, $4::json)
),
marked AS (
    INSERT INTO archive_marks AS m (project, slot, seq)
    SELECT $1, key::integer, (value ->> 1)::bigint FROM json_each($4::json) ORDER BY key::integer
    ON CONFLICT (project, slot) DO UPDATE SET seq = excluded.seq
)
INSERT INTO archive_parts
    (project, plan, object, type, hour, ranges, events, bytes, first_received_at, last_received_at)
SELECT $1, $7, object, type, hour, ranges, events, bytes, first_received_at, last_received_at
FROM json_to_recordset($6::json) AS p (object text, type text, hour timestamptz, ranges json,
    events bigint, bytes bigint, first_received_at timestamptz, last_received_at timestamptz);

-- name: archive_number
SELECT coalesce((SELECT plan FROM archived WHERE project = $1), 0) + 1 AS number;

-- name: archive_claim
-- A part that is to be written and that no other session is at. The lock ends with the session.
WITH open AS MATERIALIZED (
    SELECT id FROM archive_parts WHERE stored_bytes IS NULL ORDER BY id LIMIT 100
)
SELECT id FROM open WHERE pg_try_advisory_lock($1::integer, id) LIMIT 1;

-- name: archive_part
-- The part, unless it was stored just before it was claimed.
SELECT id, project, object, type, hour, ranges, events, bytes FROM archive_parts
WHERE id = $1 AND stored_bytes IS NULL;

-- name: archive_release
SELECT pg_advisory_unlock($1::integer, $2::integer);

-- name: archive_page
-- The next events of a part in one slot, in order. Times are microseconds since 1970: a client may
-- have sent one that no datetime can hold.
SELECT id, type, subject, session, (extract(epoch FROM occurred_at) * 1000000)::bigint AS occurred_at,
       (extract(epoch FROM received_at) * 1000000)::bigint AS received_at, slot, seq,
       properties::text AS properties
FROM events
WHERE project = $1 AND type = $2 AND slot = $3 AND seq > $4 AND seq <= $5
  AND received_at >= $6::timestamptz AND received_at < $6::timestamptz + interval '1 hour'
ORDER BY seq LIMIT $7;

-- name: archive_stored
UPDATE archive_parts SET stored_bytes = $2, sha256 = $3 WHERE id = $1 AND stored_bytes IS NULL
RETURNING events;

-- name: archive_complete
-- Plans of which every part is stored, with what their manifests say.
SELECT a.project, a.number, p.name AS project_name, a.token, a.ranges, (
    SELECT coalesce(json_agg(json_build_object(
        'object', object, 'type', type, 'hour', hour, 'events', events, 'ranges', ranges,
        'first_received_at', first_received_at, 'last_received_at', last_received_at,
        'bytes', stored_bytes, 'sha256', sha256) ORDER BY id), '[]')
    FROM archive_parts AS part WHERE part.project = a.project AND part.plan = a.number
)::text AS parts
FROM archive_plans AS a JOIN projects AS p ON p.id = a.project
WHERE NOT EXISTS (
    SELECT FROM archive_parts AS part
    WHERE part.project = a.project AND part.plan = a.number AND part.stored_bytes IS NULL)
ORDER BY a.project, a.number LIMIT 100;

-- name: archive_finish
-- The manifest is in the archive: the plan needs no rows any more.
WITH finished AS (
    DELETE FROM archive_plans WHERE project = $1 AND number = $2 RETURNING project, events
)
UPDATE archived AS a SET events = a.events + f.events FROM finished AS f
WHERE a.project = f.project
RETURNING f.events;

-- name: archive_lag
-- For how long the oldest event has waited that is not archived, in seconds; at most, that is: events
-- in no plan are as old as the last time that there were none.
SELECT coalesce(extract(epoch FROM now() - least(
    (SELECT min(first_received_at) FROM archive_parts),
    (SELECT min(coalesce(a.caught_up_at, p.created_at))
     FROM slots AS s
     JOIN projects AS p ON p.id = s.project
     LEFT JOIN archive_marks AS m ON m.project = s.project AND m.slot = s.slot
     LEFT JOIN forgotten AS f ON f.project = s.project AND f.slot = s.slot
     LEFT JOIN archived AS a ON a.project = s.project
     WHERE s.seq > coalesce(greatest(m.seq, f.seq), 0)))), 0)::double precision AS lag;
