-- name: put_sent_items
SELECT livetally_put_sent_items($1, $2, $3, $4, $5::json)::text;

-- name: make_project
-- A project's id, made if it doesn't exist.
WITH made AS (INSERT INTO projects (name) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id)
SELECT id FROM made UNION ALL SELECT id FROM projects WHERE name = $1 LIMIT 1;

-- name: queue_refuse
-- $1 is [{message, line, object, receives, cause, reason, head}…]; a reason replaces the last one.
INSERT INTO queue_refusals (message, line, object, receives, cause, reason, head)
SELECT message, line, object, receives, cause, reason, head
FROM json_to_recordset($1::json) AS r (
    message text, line bigint, object text, receives integer, cause text, reason text, head text)
ORDER BY message, line
ON CONFLICT (message, line) DO UPDATE SET
    receives = excluded.receives, cause = excluded.cause, reason = excluded.reason,
    refused_at = excluded.refused_at;

-- name: queue_forgive
-- The message was taken after all: its refusal as a whole is no news any more.
DELETE FROM queue_refusals WHERE message = ANY($1) AND line = 0;

-- name: queue_trim
-- SQS keeps a message for 14 days at most; and no flood of bad ones may fill the disk ($1 rows).
DELETE FROM queue_refusals WHERE refused_at < greatest(
    now() - interval '15 days',
    (SELECT refused_at FROM queue_refusals ORDER BY refused_at DESC OFFSET $1 LIMIT 1));

-- name: queue_refusals
-- What is known of some messages, line by line.
SELECT message, line, object, receives, cause, reason, head, refused_at
FROM queue_refusals WHERE message = ANY($1) ORDER BY message, line;

-- name: queue_refusals_lately
SELECT message, line, object, receives, cause, reason, head, refused_at
FROM queue_refusals ORDER BY refused_at DESC, message, line LIMIT $1;
