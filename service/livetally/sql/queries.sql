-- name: key_by_hash
SELECT k.id, k.project, p.name AS project_name, k.name, k.role, k.hash, k.origins
FROM keys k JOIN projects p ON p.id = k.project
WHERE k.hash = $1 AND k.revoked_at IS NULL;

-- name: create_project
INSERT INTO projects (name) VALUES ($1) ON CONFLICT (name) DO NOTHING;

-- name: create_key
INSERT INTO keys (project, name, role, hash, origins)
SELECT p.id, $2, $3, $4, $5 FROM projects p WHERE p.name = $1
ON CONFLICT (project, name) WHERE revoked_at IS NULL DO NOTHING
RETURNING id;

-- name: list_keys
SELECT p.name AS project, k.name, k.role, k.origins, k.created_at, k.revoked_at
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
    'positions', (SELECT coalesce(json_agg(json_build_array(slot, seq)), '[]')
                  FROM slots WHERE project = $1),
    'cells', (SELECT coalesce(json_agg(json_build_array(subject, slot, n)), '[]')
              FROM totals WHERE project = $1 AND type = $2
              AND (subject_key = md5('')::uuid OR subject_key IN (SELECT subject_key FROM top)))
)::text;

-- name: watch_subjects
-- The same for subjects that are named.
SELECT json_build_object(
    'positions', (SELECT coalesce(json_agg(json_build_array(slot, seq)), '[]')
                  FROM slots WHERE project = $1),
    'cells', (SELECT coalesce(json_agg(json_build_array(subject, slot, n)), '[]')
              FROM totals WHERE project = $1 AND type = $2
              AND subject_key = ANY(SELECT md5(s)::uuid FROM unnest($3::text[]) AS s))
)::text;

-- name: total
SELECT coalesce(sum(n), 0)::bigint AS total FROM totals
WHERE project = $1 AND type = $2 AND subject_key = md5($3)::uuid;

-- name: top_subjects
SELECT min(subject) AS subject, sum(n)::bigint AS total FROM totals
WHERE project = $1 AND type = $2 AND subject <> ''
GROUP BY subject_key ORDER BY 2 DESC, 1 LIMIT $3;

-- name: series
-- Buckets in which nothing happened are there too, with 0. $6 is 'minute', 'hour' or 'day'.
SELECT b.at, coalesce(sum(m.n), 0)::bigint AS total
FROM generate_series($4::timestamptz, $5::timestamptz - interval '1 microsecond', ('1 ' || $6)::interval) AS b (at)
LEFT JOIN minutes AS m
    ON m.project = $1 AND m.type = $2 AND m.subject_key = md5($3)::uuid
    AND m.minute >= $4 AND m.minute < $5 AND date_trunc($6, m.minute) = b.at
GROUP BY b.at ORDER BY b.at;

-- name: schema_version
SELECT coalesce(max(number), 0) AS number FROM migrations;

-- name: roll_partitions
SELECT livetally_roll_partitions($1::integer);
