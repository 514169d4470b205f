-- name: key_by_hash
SELECT k.id, k.project, p.name AS project_name, k.name, k.role, k.hash, k.origins, k.rate
FROM keys k JOIN projects p ON p.id = k.project
WHERE k.hash = $1 AND k.revoked_at IS NULL;

-- name: keys_by_origin
SELECT k.id, k.project, p.name AS project_name, k.name, k.role, k.hash, k.origins, k.rate
FROM keys k JOIN projects p ON p.id = k.project
WHERE $1 = ANY(k.origins) AND k.role = 'write' AND k.revoked_at IS NULL
ORDER BY k.id;

-- name: create_project
INSERT INTO projects (name) VALUES ($1) ON CONFLICT (name) DO NOTHING RETURNING id;

-- name: create_key
INSERT INTO keys (project, name, role, hash, origins, rate)
SELECT p.id, $2, $3, $4, $5, $6 FROM projects p WHERE p.name = $1
ON CONFLICT DO NOTHING
RETURNING id;

-- name: is_key_taken
-- Whether a key was ever made: one that was revoked must not come to life in another project.
SELECT EXISTS (SELECT FROM keys WHERE hash = $1);

-- name: list_keys
SELECT p.name AS project, k.name, k.role, k.origins, k.rate, k.created_at, k.revoked_at
FROM keys k JOIN projects p ON p.id = k.project
WHERE $1::text IS NULL OR p.name = $1
ORDER BY p.name, k.created_at, k.id;

-- name: revoke_key
UPDATE keys k SET revoked_at = now() FROM projects p
WHERE p.id = k.project AND p.name = $1 AND k.name = $2 AND k.revoked_at IS NULL
RETURNING k.id;

-- name: slot_positions
-- How far each slot of the given projects has come: what the hub compares itself with.
SELECT project, slot, seq FROM slots WHERE project = ANY($1);

-- name: watch_type
-- A type's slots for the hub: its grand total and its largest subjects, together with the
-- positions that they include (one statement, so one snapshot).
WITH top AS (
    SELECT subject_key FROM totals
    WHERE project = $1 AND type = $2 AND subject <> ''
    GROUP BY subject_key ORDER BY sum(n) DESC, subject_key LIMIT $3
)
SELECT json_build_object(
    'positions', (SELECT coalesce(json_object_agg(slot, seq), '{}') FROM slots WHERE project = $1),
    'cells', (SELECT coalesce(json_agg(json_build_array(subject, slot, n)), '[]')
              FROM totals WHERE project = $1 AND type = $2
              AND (subject_key = md5('')::uuid OR subject_key IN (SELECT subject_key FROM top)))
)::text;

-- name: watch_subjects
-- The same for subjects that are named.
SELECT json_build_object(
    'positions', (SELECT coalesce(json_object_agg(slot, seq), '{}') FROM slots WHERE project = $1),
    'cells', (SELECT coalesce(json_agg(json_build_array(subject, slot, n)), '[]')
              FROM totals WHERE project = $1 AND type = $2
              AND subject_key = ANY(SELECT md5(s)::uuid FROM unnest($3::text[]) AS s))
)::text;

-- name: watch_types
-- The same for one subject ($3) of several types ($2): counts by type.
SELECT json_build_object(
    'positions', (SELECT coalesce(json_object_agg(slot, seq), '{}') FROM slots WHERE project = $1),
    'cells', (SELECT coalesce(json_agg(json_build_array(type, slot, n)), '[]')
              FROM totals WHERE project = $1 AND type = ANY($2) AND subject_key = md5($3)::uuid)
)::text;

-- name: total
SELECT coalesce(sum(n), 0)::bigint AS total FROM totals
WHERE project = $1 AND type = $2 AND subject_key = md5($3)::uuid;

-- name: top_subjects
SELECT min(subject) AS subject, sum(n)::bigint AS total FROM totals
WHERE project = $1 AND type = $2 AND subject <> ''
GROUP BY subject_key ORDER BY 2 DESC, 1 LIMIT $3;

-- name: subjects_after
-- A page of a type's subjects: those after $3 ('': from the first), at most $4. They are in the
-- index's order, which no count changes: each is on one page, and a page reads no more than itself.
SELECT min(subject) AS subject, sum(n)::bigint AS total FROM totals
WHERE project = $1 AND type = $2 AND subject <> ''
  AND subject_key > CASE $3 WHEN '' THEN '00000000000000000000000000000000' ELSE md5($3) END::uuid
GROUP BY subject_key ORDER BY subject_key LIMIT $4;

-- name: types
-- A project's types after name $2, in order, at most $3, with their grand totals. Each is found by
-- one step in the index from the one before: subjects are not read.
WITH RECURSIVE found AS (
    (SELECT type, 1 AS nth FROM totals WHERE project = $1 AND type > $2 ORDER BY type LIMIT 1)
    UNION ALL
    SELECT (SELECT t.type FROM totals AS t WHERE t.project = $1 AND t.type > found.type
            ORDER BY t.type LIMIT 1), nth + 1
    FROM found WHERE found.type IS NOT NULL AND nth < $3
)
SELECT type, (
    SELECT coalesce(sum(n), 0)::bigint FROM totals AS t
    WHERE t.project = $1 AND t.type = found.type AND t.subject_key = md5('')::uuid
) AS total
FROM found WHERE type IS NOT NULL ORDER BY type;

-- name: sum_between
-- A type's grand total from $3 until $4, and what was `before`, from $5 until $3; beside it that
-- of ever, of the same snapshot.
SELECT coalesce(sum(n) FILTER (WHERE at >= $3), 0)::bigint AS total,
       coalesce(sum(n) FILTER (WHERE at < $3), 0)::bigint AS before,
       (SELECT coalesce(sum(t.n), 0)::bigint FROM totals AS t
        WHERE t.project = $1 AND t.type = $2 AND t.subject_key = md5('')::uuid) AS ever
FROM history
WHERE project = $1 AND type = $2 AND subject_key = md5('')::uuid
  AND at >= $5::timestamptz AND at < $4::timestamptz;

-- name: top_between
-- The same of its $6 largest subjects. A look-up for each subject, so that a short period of a
-- type with a long past reads the short period only.
SELECT s.subject, m.total, m.before, s.ever
FROM (
    SELECT subject_key, min(subject) AS subject, sum(n)::bigint AS ever FROM totals
    WHERE project = $1 AND type = $2 AND subject <> '' GROUP BY subject_key
) AS s
CROSS JOIN LATERAL (
    SELECT coalesce(sum(n) FILTER (WHERE at >= $3), 0)::bigint AS total,
           coalesce(sum(n) FILTER (WHERE at < $3), 0)::bigint AS before
    FROM history
    WHERE project = $1 AND type = $2 AND subject_key = s.subject_key
      AND at >= $5::timestamptz AND at < $4::timestamptz
) AS m
WHERE m.total > 0 ORDER BY m.total DESC, s.subject LIMIT $6;

-- name: between_after
-- The same of a page of subjects, as in subjects_after ($6, $7); also of those with nothing then.
SELECT s.subject, m.total, m.before, s.ever
FROM (
    SELECT subject_key, min(subject) AS subject, sum(n)::bigint AS ever FROM totals
    WHERE project = $1 AND type = $2 AND subject <> ''
      AND subject_key > CASE $6 WHEN '' THEN '00000000000000000000000000000000' ELSE md5($6) END::uuid
    GROUP BY subject_key ORDER BY subject_key LIMIT $7
) AS s
CROSS JOIN LATERAL (
    SELECT coalesce(sum(n) FILTER (WHERE at >= $3), 0)::bigint AS total,
           coalesce(sum(n) FILTER (WHERE at < $3), 0)::bigint AS before
    FROM history
    WHERE project = $1 AND type = $2 AND subject_key = s.subject_key
      AND at >= $5::timestamptz AND at < $4::timestamptz
) AS m
ORDER BY s.subject_key;

-- name: series
-- Buckets in which nothing happened are there too, with 0. $6 is 'minute', 'hour' or 'day'.
SELECT b.at, coalesce(sum(m.n), 0)::bigint AS total
FROM generate_series($4::timestamptz, $5::timestamptz - interval '1 microsecond', ('1 ' || $6)::interval) AS b (at)
LEFT JOIN history AS m
    ON m.project = $1 AND m.type = $2 AND m.subject_key = md5($3)::uuid
    AND m.at >= $4 AND m.at < $5 AND date_trunc($6, m.at) = b.at
GROUP BY b.at ORDER BY b.at;

-- name: schema_version
SELECT coalesce(max(number), 0) AS number FROM migrations;

-- name: roll_partitions
SELECT livetally_roll_partitions($1::integer);

-- name: feed_page
-- A page of a type's events, in order within each slot: after position $3 and up to position $4
-- (or as far as there is). At most $6 events and about $7 bytes, but one event at least. Of one
-- subject ($5): about $8 of the type's events are looked at, divided among the slots.
-- `events` is a JSON array; `last` the (slot, seq) of a page that was cut short; `position` where
-- all slots were, or $4, or how far was looked, and then there is `more`; `forgotten` up to where
-- the log was dropped, where that is after $3.
WITH wanted AS (
    SELECT slot, coalesce(($3::jsonb ->> slot::text)::bigint, 0) AS after,
           CASE WHEN $4::jsonb IS NULL THEN seq
                ELSE greatest(coalesce(($3::jsonb ->> slot::text)::bigint, 0),
                              coalesce(($4::jsonb ->> slot::text)::bigint, 0)) END AS last
    FROM slots WHERE project = $1
),
shares AS (
    SELECT greatest($8 / greatest(count(*), 1), 1) AS share FROM wanted WHERE after < last
),
range AS (
    SELECT slot, after, last, CASE WHEN $5::text IS NULL OR after >= last THEN last ELSE coalesce((
        SELECT seq FROM events
        WHERE project = $1 AND type = $2 AND events.slot = wanted.slot AND seq > after AND seq <= last
        ORDER BY seq OFFSET (SELECT share - 1 FROM shares) LIMIT 1
    ), last) END AS upto
    FROM wanted
),
page AS (
    SELECT r.slot, e.*
    FROM range AS r CROSS JOIN LATERAL (
        SELECT seq, json_build_object(
            'id', id, 'type', type, 'subject', subject, 'session', session,
            'occurred_at', occurred_at, 'received_at', received_at, 'properties', properties) AS event
        FROM events
        WHERE project = $1 AND type = $2 AND events.slot = r.slot AND seq > r.after AND seq <= r.upto
          AND ($5::text IS NULL OR subject = $5)
        ORDER BY seq LIMIT $6
    ) AS e
    WHERE r.after < r.upto
    ORDER BY slot, seq LIMIT $6
),
sized AS (
    SELECT *, count(*) OVER () AS found, row_number() OVER (ORDER BY slot, seq) AS nth,
           coalesce(sum(octet_length(event::text)) OVER (
               ORDER BY slot, seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
    FROM page
),
kept AS (
    SELECT * FROM sized WHERE before < $7
)
SELECT coalesce((SELECT json_agg(event ORDER BY slot, seq) FROM kept), '[]')::text AS events,
       (SELECT CASE WHEN max(found) = $6 OR max(found) > max(nth)
                    THEN json_build_array(max(slot), max(seq) FILTER (WHERE slot = top)) END
        FROM (SELECT *, max(slot) OVER () AS top FROM kept) AS k)::text AS last,
       (SELECT coalesce(json_object_agg(slot, upto), '{}') FROM range WHERE upto > 0)::text AS position,
       (SELECT coalesce(bool_or(upto < last), false) FROM range) AS more,
       (SELECT json_object_agg(slot, seq) FROM forgotten
        WHERE project = $1 AND seq > coalesce(($3::jsonb ->> slot::text)::bigint, 0))::text AS forgotten;

-- name: pointers
-- The latest event of each session that points at page $2: after position $3 (JSON, by slot), not
-- silent for $4 seconds. The newest $5 events of a slot are looked at. `position` is how far this
-- goes (one statement, so one snapshot); `moved` begins with who moved last.
WITH range AS (
    SELECT slot, seq AS upto, coalesce(($3::jsonb ->> slot::text)::bigint, 0) AS after
    FROM slots WHERE project = $1
),
recent AS (
    SELECT e.*
    FROM range AS r CROSS JOIN LATERAL (
        SELECT subject, session, properties, received_at, coalesce(occurred_at, received_at) AS at, seq
        FROM events
        WHERE project = $1 AND type = 'pointer' AND events.slot = r.slot AND seq > r.after AND seq <= r.upto
          -- Whole days, which are partitions: what is older than that in them counts as looked at.
          AND received_at >= date_trunc('day', statement_timestamp() - make_interval(secs => $4::double precision))
        ORDER BY seq DESC LIMIT $5
    ) AS e
    WHERE r.after < r.upto
      AND e.received_at > statement_timestamp() - make_interval(secs => $4::double precision)
),
latest AS (
    SELECT DISTINCT ON (session) session, at, received_at, properties
    FROM recent WHERE subject = $2 AND session IS NOT NULL AND properties IS NOT NULL
    ORDER BY session, at DESC, seq DESC
)
SELECT json_build_object(
    'position', (SELECT coalesce(json_object_agg(slot, upto), '{}') FROM range),
    'moved', (SELECT coalesce(json_agg(json_build_array(
                  session, at, extract(epoch FROM statement_timestamp() - received_at), properties)
                  ORDER BY at DESC), '[]') FROM latest)
)::text;

-- name: put_items
SELECT livetally_put_items($1, $2, $3::json)::text;

-- name: get_item
SELECT id, version, updated_at, value::text AS value FROM items
WHERE project = $1 AND key = $2 AND id = $3 AND value IS NOT NULL;

-- name: remove_item
-- $4 is the expected version, or null. No row: there is no such item, or it has another version.
UPDATE items SET value = NULL
WHERE project = $1 AND key = $2 AND id = $3 AND value IS NOT NULL
  AND ($4::bigint IS NULL OR version = $4)
RETURNING version;

-- name: item_page
-- The items of a key after id $3, in order: at most $4, and about $5 bytes, but one at least. $6 rows
-- are looked at; where items that were removed use that up, the last row has no value, and says how
-- far was looked. (No id is as large as the one that stands for the end.)
WITH reach AS (
    SELECT id FROM items WHERE project = $1 AND key = $2 AND id > $3
    ORDER BY id OFFSET $6::integer - 1 LIMIT 1
),
page AS (
    SELECT id, version, updated_at, value::text AS value FROM items
    WHERE project = $1 AND key = $2 AND value IS NOT NULL
      AND id > $3 AND id <= coalesce((SELECT id FROM reach), repeat(chr(1114111), 129))
    ORDER BY id LIMIT $4
),
sized AS (
    SELECT *, count(*) OVER () AS found, row_number() OVER (ORDER BY id) AS nth,
           coalesce(sum(octet_length(value)) OVER (
               ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
    FROM page
),
kept AS (
    SELECT id, version, updated_at, value, found = $4 OR found > max(nth) OVER () AS cut
    FROM sized WHERE before < $5
)
SELECT id, version, updated_at, value, cut OR EXISTS (SELECT FROM reach) AS more FROM kept
UNION ALL
SELECT id, 0, NULL, NULL, true FROM reach WHERE NOT EXISTS (SELECT FROM kept WHERE cut)
ORDER BY id;

-- name: known_item_keys
-- Which of some names are keys of a project's items.
SELECT name FROM unnest($2::text[]) AS name
WHERE EXISTS (SELECT FROM items WHERE project = $1 AND key = name) ORDER BY name;

-- name: items_by_id
SELECT id, version, updated_at, value::text AS value FROM items
WHERE project = $1 AND key = $2 AND id = ANY($3);

-- name: items_changed
-- What has changed in some keys ($1 projects, $2 keys) by transactions that were not `seen` ($3;
-- null: everything). Every transaction before `seen` is finished, and visible if it committed.
SELECT json_build_object(
    'seen', pg_snapshot_xmin(pg_current_snapshot())::text,
    'changes', (
        SELECT coalesce(json_agg(json_build_array(i.project, i.key, i.id, i.version)), '[]')
        FROM unnest($1::integer[], $2::text[]) AS w (project, key)
        JOIN items AS i ON i.project = w.project AND i.key = w.key
        WHERE i.changed_in >= coalesce($3::text, '0')::xid8 AND i.version > 0)
)::text;

-- name: project_by_name
SELECT id FROM projects WHERE name = $1;

-- name: verify
-- Where what is counted differs from the log, one row a difference, at most $2 of them. Reads the
-- project's whole log. What was dropped from the log ended at `forgotten`; it is part of the totals
-- still, so a subject is compared with the log only if nothing was dropped.
WITH logged AS MATERIALIZED (
    SELECT type, subject, slot, count(*) AS n, min(seq) AS first, max(seq) AS last
    FROM events WHERE project = $1 GROUP BY type, subject, slot
),
counted AS MATERIALIZED (
    SELECT type, subject, slot, n FROM totals WHERE project = $1
),
dropped AS MATERIALIZED (
    SELECT count(*) > 0 AS something FROM forgotten WHERE project = $1
),
differences AS (
    SELECT 'log and positions' AS what, 'slot ' || slot AS place, coalesce(l.n, 0) AS one,
           s.seq - coalesce(f.seq, 0) AS other
    FROM slots AS s
    LEFT JOIN (SELECT slot, sum(n) AS n FROM logged GROUP BY slot) AS l USING (slot)
    LEFT JOIN forgotten AS f USING (project, slot)
    WHERE s.project = $1 AND coalesce(l.n, 0) <> s.seq - coalesce(f.seq, 0)
    UNION ALL
    SELECT 'log and totals', format('%s %s, slot %s', type, subject, slot), coalesce(l.n, 0), coalesce(c.n, 0)
    FROM logged AS l FULL JOIN (SELECT * FROM counted WHERE subject <> '') AS c USING (type, subject, slot)
    WHERE NOT (SELECT something FROM dropped) AND coalesce(l.n, 0) <> coalesce(c.n, 0)
    UNION ALL
    SELECT 'positions and totals', 'slot ' || slot, s.seq, coalesce(t.n, 0)
    FROM slots AS s
    LEFT JOIN (SELECT slot, sum(n) AS n FROM counted WHERE subject = '' GROUP BY slot) AS t USING (slot)
    WHERE s.project = $1 AND s.seq <> coalesce(t.n, 0)
    UNION ALL
    SELECT 'subjects and grand total', format('%s, slot %s', type, slot),
           coalesce(sum(n) FILTER (WHERE subject <> ''), 0), coalesce(sum(n) FILTER (WHERE subject = ''), 0)
    FROM counted GROUP BY type, slot
    HAVING coalesce(sum(n) FILTER (WHERE subject <> ''), 0)
        <> coalesce(sum(n) FILTER (WHERE subject = ''), 0)
    UNION ALL
    SELECT 'minutes and totals', format('%s %s', type, subject), coalesce(m.n, 0), coalesce(c.n, 0)
    FROM (SELECT type, subject, md5(subject)::uuid AS subject_key, sum(n) AS n FROM counted
          GROUP BY type, subject) AS c
    FULL JOIN (SELECT type, subject_key, sum(n) AS n FROM history WHERE project = $1
               GROUP BY type, subject_key) AS m USING (type, subject_key)
    WHERE coalesce(m.n, 0) <> coalesce(c.n, 0)
)
SELECT json_build_object(
    'events', (SELECT coalesce(sum(n), 0) FROM logged),
    'total', (SELECT coalesce(sum(n), 0) FROM counted WHERE subject = ''),
    'differences', (SELECT coalesce(json_agg(json_build_object(
        'between', what, 'at', place, 'counts', json_build_array(one, other))), '[]')
        FROM (SELECT * FROM differences LIMIT $2) AS d)
)::text;
