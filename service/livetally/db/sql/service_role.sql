-- name: service_role_lock
-- The migrations' own lock: two tasks that start at once do this one after the other.
SELECT pg_advisory_xact_lock(hashtext('livetally migrations'));

-- name: service_role_excess
-- No row if role $1 may be the service's; else the reason why not.
SELECT CASE WHEN rolsuper THEN 'a superuser'
            WHEN rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication THEN 'an administrator'
            ELSE 'the owner of the tables' END AS excess
FROM pg_roles
WHERE rolname = $1::text
  AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication
       OR pg_has_role($1::text::name, (SELECT relowner FROM pg_class WHERE oid = 'events'::regclass), 'MEMBER'));

-- name: service_role_statements
-- What to run, in this order, so that role $1 with password hash $2 can do the service's work.
WITH role AS (
    SELECT quote_ident($1::text) AS name, current_schema() AS schema
),
-- Functions that make and drop partitions need the owner's rights, whoever calls them; and then
-- only the service may, by a search path that nobody else can put tables into.
ours AS (
    SELECT oid::regprocedure AS function
    FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'livetally\_%'
      AND prosrc ~ '\m(CREATE|ALTER|DROP|TRUNCATE) TABLE'
)
SELECT statement FROM (
    SELECT 1 AS step, format('CREATE ROLE %s LOGIN', name) AS statement
    FROM role WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $1::text)
    UNION ALL SELECT 2, format('ALTER ROLE %s LOGIN PASSWORD %L', name, $2::text) FROM role
    UNION ALL SELECT 3, format('GRANT USAGE ON SCHEMA %I TO %s', schema, name) FROM role
    UNION ALL SELECT 4, format(
        'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %s', schema, name) FROM role
    -- also those that later migrations and the functions below will make
    UNION ALL SELECT 5, format(
        'ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %s',
        schema, name) FROM role
    UNION ALL SELECT 6, format('REVOKE INSERT, UPDATE, DELETE ON migrations FROM %s', name) FROM role
    UNION ALL SELECT 7, format(
        'ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp', function, schema) FROM role, ours
    UNION ALL SELECT 8, format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function) FROM ours
    UNION ALL SELECT 9, format('GRANT EXECUTE ON FUNCTION %s TO %s', function, name) FROM role, ours
) AS steps ORDER BY step;
