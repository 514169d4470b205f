-- name: page_views
-- The subjects of type $2 with their totals, the `top` ($4) largest; beside each its total of type
-- $3, and on every row the sums over all. $5: of one subject only. $6: of those "host page" only;
-- the page `post` is every article's, post:ID.
WITH counted AS (
    SELECT subject_key, min(subject) AS subject,
           coalesce(sum(n) FILTER (WHERE type = $2), 0)::bigint AS total,
           coalesce(sum(n) FILTER (WHERE type = $3), 0)::bigint AS "unique"
    FROM totals
    WHERE project = $1 AND type IN ($2, $3) AND subject_key <> md5('')::uuid
      AND ($5::text IS NULL OR subject_key = md5($5)::uuid)
      AND ($6::text IS NULL OR substr(subject, strpos(subject, ' ') + 1) = $6
           OR $6 = 'post' AND subject LIKE '% post:%')
    GROUP BY subject_key
)
SELECT subject, total, "unique", (sum(total) OVER ())::bigint AS all_total,
       (sum("unique") OVER ())::bigint AS all_unique
FROM counted ORDER BY total DESC, subject LIMIT $4;

-- name: page_views_between
-- The same, of what was counted from $7 (null: ever) until $8.
WITH counted AS (
    SELECT subject_key,
           coalesce(sum(n) FILTER (WHERE type = $2), 0)::bigint AS total,
           coalesce(sum(n) FILTER (WHERE type = $3), 0)::bigint AS "unique"
    FROM history
    WHERE project = $1 AND type IN ($2, $3) AND subject_key <> md5('')::uuid
      AND ($5::text IS NULL OR subject_key = md5($5)::uuid)
      AND at >= coalesce($7::timestamptz, '-infinity') AND at < $8::timestamptz
    GROUP BY subject_key
),
named AS (
    SELECT counted.*, (
        SELECT subject FROM totals AS t
        WHERE t.project = $1 AND t.type IN ($2, $3) AND t.subject_key = counted.subject_key LIMIT 1
    ) AS subject
    FROM counted
)
SELECT subject, total, "unique", (sum(total) OVER ())::bigint AS all_total,
       (sum("unique") OVER ())::bigint AS all_unique
FROM named
WHERE $6::text IS NULL OR substr(subject, strpos(subject, ' ') + 1) = $6
   OR $6 = 'post' AND subject LIKE '% post:%'
ORDER BY total DESC, subject LIMIT $4;
