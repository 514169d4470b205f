-- name: projects
SELECT id, name FROM projects ORDER BY name;

-- name: subjects_of_all
-- The largest subjects ($2 of them) of some types ($1) in every project, in one look.
SELECT project, type, subject, total FROM (
    SELECT project, type, min(subject) AS subject, sum(n)::bigint AS total,
           row_number() OVER (PARTITION BY project, type ORDER BY sum(n) DESC, subject_key) AS nth
    FROM totals WHERE type = ANY($1) AND subject <> ''
    GROUP BY project, type, subject_key
) AS ranked
WHERE nth <= $2;
