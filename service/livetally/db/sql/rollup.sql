-- name: roll_up
SELECT livetally_roll_up(make_interval(days => $1), make_interval(days => $2));

-- name: rolled_up
-- Since when the past is kept by the minute, and by the hour; null: since ever.
SELECT minutes_until, hours_until FROM rolled_up;

-- name: retire_day
-- Drops the oldest day of the log if it is over for $1 days, and archived if there is an archive ($2).
SELECT livetally_retire_day($1, $2)::text;
