-- name: export_days
-- The days that are in the log.
SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'events'::regclass AND c.relname ~ '^events_\d{8}$' ORDER BY 1;

-- name: export_day
-- The events received from $1 until $2, of project $3 and type $4 (null: of all).
SELECT p.name, e.id, e.type, e.subject, e.session,
       (extract(epoch FROM e.occurred_at) * 1000000)::bigint AS occurred_at,
       (extract(epoch FROM e.received_at) * 1000000)::bigint AS received_at, e.slot, e.seq,
       e.properties::text AS properties
FROM events AS e JOIN projects AS p ON p.id = e.project
WHERE e.received_at >= $1 AND e.received_at < $2
  AND ($3::text IS NULL OR p.name = $3) AND ($4::text IS NULL OR e.type = $4)
ORDER BY e.project, e.type, e.slot, e.seq;

-- name: export_projects
-- Of which projects the log has events that were received from $1 until $2.
SELECT p.name FROM projects AS p WHERE EXISTS (
    SELECT FROM events AS e WHERE e.project = p.id AND e.received_at >= $1 AND e.received_at < $2);

-- name: export_dropped
-- Whether events of project $1 (null: of any) were dropped from the log.
SELECT EXISTS (
    SELECT FROM forgotten AS f JOIN projects AS p ON p.id = f.project
    WHERE $1::text IS NULL OR p.name = $1) AS dropped;

-- name: export_count
-- How many there are, by what was counted.
SELECT coalesce(sum(h.n), 0)::bigint AS events
FROM history AS h JOIN projects AS p ON p.id = h.project
WHERE h.subject_key = md5('')::uuid AND ($1::text IS NULL OR p.name = $1)
  AND ($2::text IS NULL OR h.type = $2) AND h.at >= date_trunc('minute', $3::timestamptz) AND h.at < $4;
