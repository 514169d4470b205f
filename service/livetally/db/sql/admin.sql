-- name: list_projects
-- Projects after name $1, in order, at most $2, each with the number of its live keys.
SELECT p.name, p.created_at,
       (SELECT count(*) FROM keys AS k WHERE k.project = p.id AND k.revoked_at IS NULL) AS keys
FROM projects AS p WHERE p.name > $1 ORDER BY p.name LIMIT $2;

-- name: key_page
-- Keys made before the one with id $2, the newest first, at most $3; of project $1, or (null) of all.
SELECT k.id, p.name AS project, k.name, k.role, k.origins, k.rate, k.created_at, k.revoked_at
FROM keys AS k JOIN projects AS p ON p.id = k.project
WHERE ($1::text IS NULL OR p.name = $1) AND k.id < $2 ORDER BY k.id DESC LIMIT $3;

-- name: heatmap
-- How often each cell of a grid of $5 x $6 over page $2 was pointed at from $3 until $4. The latest $7
-- events are read; `since` is the oldest of them, if there are more. Properties are whatever somebody
-- sent: what isn't a number from 0 to 1 is left out. `width` and `height` are the page's usual size.
WITH latest AS MATERIALIZED (
    SELECT received_at, properties FROM events
    WHERE project = $1 AND type = 'pointer' AND md5(subject) = md5($2::text) AND subject = $2::text
      AND received_at >= $3 AND received_at < $4
    ORDER BY received_at DESC LIMIT $7
),
texts AS MATERIALIZED (
    SELECT properties ->> 'x' AS x, properties ->> 'y' AS y,
           properties ->> 'width' AS width, properties ->> 'height' AS height
    FROM latest WHERE json_typeof(properties) = 'object'
),
points AS MATERIALIZED (
    SELECT CASE WHEN x ~ '^[0-9](\.[0-9]{1,20})?([eE]-[0-9]{1,2})?$' THEN x::double precision END AS x,
           CASE WHEN y ~ '^[0-9](\.[0-9]{1,20})?([eE]-[0-9]{1,2})?$' THEN y::double precision END AS y,
           CASE WHEN width ~ '^[0-9]{1,6}$' THEN width::integer END AS width,
           CASE WHEN height ~ '^[0-9]{1,6}$' THEN height::integer END AS height
    FROM texts
),
cells AS (
    SELECT least(floor(y * $6::integer), $6::integer - 1)::integer * $5::integer
           + least(floor(x * $5::integer), $5::integer - 1)::integer AS cell, count(*) AS n
    FROM points WHERE x BETWEEN 0 AND 1 AND y BETWEEN 0 AND 1 GROUP BY 1
)
SELECT json_build_object(
    'cells', (SELECT coalesce(json_agg(json_build_array(cell, n) ORDER BY cell), '[]') FROM cells),
    'total', (SELECT coalesce(sum(n), 0) FROM cells),
    'since', (SELECT CASE WHEN count(*) = $7 THEN min(received_at) END FROM latest),
    'width', (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY width) FROM points WHERE width > 0),
    'height', (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY height) FROM points WHERE height > 0)
)::text;

-- name: pointer_sessions
-- Who pointed at page $2 from $3 until $4, the latest first, at most $5; of the latest $6 events.
WITH latest AS MATERIALIZED (
    SELECT session, received_at FROM events
    WHERE project = $1 AND type = 'pointer' AND md5(subject) = md5($2::text) AND subject = $2::text
      AND received_at >= $3 AND received_at < $4
    ORDER BY received_at DESC LIMIT $6
),
sessions AS (
    SELECT session, min(received_at) AS first, max(received_at) AS last, count(*) AS moves
    FROM latest WHERE session IS NOT NULL
    GROUP BY session ORDER BY max(received_at) DESC, session LIMIT $5
)
SELECT json_build_object(
    'sessions', (SELECT coalesce(json_agg(sessions), '[]') FROM sessions),
    'since', (SELECT CASE WHEN count(*) = $6 THEN min(received_at) END FROM latest)
)::text;

-- name: pointer_replay
-- Where session $5 pointed on page $2 from $3 until $4, in order of time: at most $6 positions, of the
-- latest $7 events of the page. Times are the browser's, where it said them.
WITH latest AS MATERIALIZED (
    SELECT session, received_at, occurred_at, seq, properties FROM events
    WHERE project = $1 AND type = 'pointer' AND md5(subject) = md5($2::text) AND subject = $2::text
      AND received_at >= $3 AND received_at < $4
    ORDER BY received_at DESC LIMIT $7
),
texts AS MATERIALIZED (
    SELECT coalesce(occurred_at, received_at) AS at, seq, properties ->> 'x' AS x, properties ->> 'y' AS y,
           properties ->> 'width' AS width, properties ->> 'height' AS height,
           coalesce(properties ->> 'down', '') = 'true' AS down
    FROM latest WHERE session = $5 AND json_typeof(properties) = 'object'
),
points AS MATERIALIZED (
    SELECT at, seq, down,
           CASE WHEN x ~ '^[0-9](\.[0-9]{1,20})?([eE]-[0-9]{1,2})?$' THEN x::double precision END AS x,
           CASE WHEN y ~ '^[0-9](\.[0-9]{1,20})?([eE]-[0-9]{1,2})?$' THEN y::double precision END AS y,
           CASE WHEN width ~ '^[0-9]{1,6}$' THEN width::integer END AS width,
           CASE WHEN height ~ '^[0-9]{1,6}$' THEN height::integer END AS height
    FROM texts
),
good AS (
    SELECT at, x, y, down FROM points WHERE x BETWEEN 0 AND 1 AND y BETWEEN 0 AND 1
    ORDER BY at, seq LIMIT $6 + 1
)
SELECT json_build_object(
    'moves', (SELECT coalesce(json_agg(json_build_array(at, x, y, down) ORDER BY at), '[]')
              FROM (SELECT * FROM good LIMIT $6) AS g),
    'more', (SELECT count(*) > $6 FROM good),
    'width', (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY width) FROM points WHERE width > 0),
    'height', (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY height) FROM points WHERE height > 0)
)::text;

-- name: all_positions
-- How far every slot of every project has come.
SELECT project, slot, seq FROM slots;

-- name: watch_all
-- The slots of the $1 largest totals of all projects, with the names of the projects and the positions
-- that they include (one statement, so one snapshot).
WITH top AS (
    SELECT project, type, subject_key FROM totals WHERE subject <> ''
    GROUP BY project, type, subject_key ORDER BY sum(n) DESC, project, type, subject_key LIMIT $1
)
SELECT json_build_object(
    'projects', (SELECT coalesce(json_object_agg(id, name), '{}') FROM projects),
    'positions', (SELECT coalesce(json_agg(json_build_array(project, slot, seq)), '[]') FROM slots),
    'cells', (SELECT coalesce(json_agg(json_build_array(t.project, t.type, t.subject, t.slot, t.n)), '[]')
              FROM totals AS t JOIN top USING (project, type, subject_key))
)::text;
