-- The past, more coarsely: minutes that are old enough are moved into hours, and hours into days.
-- A count is in exactly one of the three tables, so that what is asked by the hour or the day is the
-- sum over them, before and after. Slots are for writers: what is moved is added up over them.

CREATE TABLE hours (
    project     integer     NOT NULL,
    type        text        COLLATE "C" NOT NULL,
    subject_key uuid        NOT NULL,
    hour        timestamptz NOT NULL,
    n           bigint      NOT NULL,
    PRIMARY KEY (project, type, subject_key, hour)
);
CREATE TABLE days (
    project     integer     NOT NULL,
    type        text        COLLATE "C" NOT NULL,
    subject_key uuid        NOT NULL,
    day         timestamptz NOT NULL,
    n           bigint      NOT NULL,
    PRIMARY KEY (project, type, subject_key, day)
);
-- All of the past, however finely it is kept: what readers ask.
CREATE VIEW history AS
    SELECT project, type, subject_key, minute AS at, n FROM minutes
    UNION ALL SELECT project, type, subject_key, hour, n FROM hours
    UNION ALL SELECT project, type, subject_key, day, n FROM days;

-- To find the oldest. Counting on in a minute doesn't touch them.
CREATE INDEX minutes_minute ON minutes (minute);
CREATE INDEX hours_hour ON hours (hour);

-- What is older than this is not kept by the minute (by the hour) any more: one row.
CREATE TABLE rolled_up (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    minutes_until timestamptz,
    hours_until   timestamptz
);
INSERT INTO rolled_up DEFAULT VALUES;

-- Moves the oldest hour of minutes, or else the oldest day of hours, if it is over for that long.
-- One hour or day a transaction, whole: a reader sees it on one side or on the other. Returns how
-- many rows went, 0 if there was nothing to do, or if another worker is at it.
CREATE FUNCTION livetally_roll_up(keep_minutes interval, keep_hours interval) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz;
    moved bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('livetally roll-up')) THEN
        RETURN 0;
    END IF;
    SELECT date_trunc('hour', min(minute), 'UTC') + interval '1 hour' INTO until FROM minutes;
    IF until <= statement_timestamp() - keep_minutes THEN
        UPDATE rolled_up SET minutes_until = greatest(minutes_until, until);
        WITH old AS (
            DELETE FROM minutes WHERE minute < until RETURNING project, type, subject_key, minute, n
        ), kept AS (
            INSERT INTO hours AS h (project, type, subject_key, hour, n)
            SELECT project, type, subject_key, date_trunc('hour', minute, 'UTC'), sum(n) FROM old
            GROUP BY 1, 2, 3, 4
            ON CONFLICT (project, type, subject_key, hour) DO UPDATE SET n = h.n + excluded.n
        )
        SELECT count(*) INTO moved FROM old;
        RETURN moved;
    END IF;
    SELECT date_trunc('day', min(hour), 'UTC') + interval '1 day' INTO until FROM hours;
    IF until <= statement_timestamp() - keep_hours THEN
        UPDATE rolled_up SET hours_until = greatest(hours_until, until);
        WITH old AS (
            DELETE FROM hours WHERE hour < until RETURNING project, type, subject_key, hour, n
        ), kept AS (
            INSERT INTO days AS d (project, type, subject_key, day, n)
            SELECT project, type, subject_key, date_trunc('day', hour, 'UTC'), sum(n) FROM old
            GROUP BY 1, 2, 3, 4
            ON CONFLICT (project, type, subject_key, day) DO UPDATE SET n = d.n + excluded.n
        )
        SELECT count(*) INTO moved FROM old;
        RETURN moved;
    END IF;
    RETURN 0;
END
$$;
