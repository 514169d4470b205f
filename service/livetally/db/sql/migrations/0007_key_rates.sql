-- What a key may send, in events a second; NULL: as many as can be stored. See limits.py.
ALTER TABLE keys ADD COLUMN rate integer CHECK (rate > 0);
