-- What was dropped from the log: up to which position. A viewer that asks for more gets a `gap`.
CREATE TABLE forgotten (
    project integer NOT NULL,
    slot    integer NOT NULL,
    seq     bigint  NOT NULL,
    PRIMARY KEY (project, slot)
);

-- Drops a day of the log, and says so in `forgotten`, in one transaction.
CREATE FUNCTION livetally_forget_day(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text := 'events_' || to_char(day, 'YYYYMMDD');
BEGIN
    EXECUTE format(
        'INSERT INTO forgotten (project, slot, seq)
         SELECT project, slot, max(seq) FROM %I GROUP BY project, slot ORDER BY project, slot
         ON CONFLICT (project, slot) DO UPDATE SET seq = greatest(forgotten.seq, excluded.seq)', name);
    EXECUTE format('DROP TABLE %I', name);
END
$$;

-- Keyed values that change. A removed one stays as a row without a value, so that its version
-- never goes back. `changed_in` is the transaction that changed the row last: a reader that knows
-- which transactions it has seen finds all later changes by it, whoever made them.
CREATE TABLE items (
    project    integer     NOT NULL REFERENCES projects (id),
    key        text        COLLATE "C" NOT NULL CHECK (key ~ '^[A-Za-z][A-Za-z-]{2,49}$'),
    id         text        COLLATE "C" NOT NULL CHECK (length(id) BETWEEN 1 AND 128),
    value      json        CHECK (octet_length(value::text) <= 65536),
    version    bigint      NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    changed_in xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (project, key, id)
);
CREATE INDEX items_changes ON items (project, key, changed_in);

-- Whoever writes a row (the service, psql, replication): the version goes up by one, and DELETE
-- leaves the row without a value.
CREATE FUNCTION livetally_item_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE items SET value = NULL
        WHERE project = OLD.project AND key = OLD.key AND id = OLD.id AND value IS NOT NULL;
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        NEW.version := CASE WHEN NEW.value IS NULL THEN 0 ELSE 1 END;
    ELSIF (NEW.project, NEW.key, NEW.id) <> (OLD.project, OLD.key, OLD.id) THEN
        RAISE EXCEPTION 'the project, key and id of an item can''t change: insert another item';
    ELSE
        NEW.version := OLD.version + 1;
    END IF;
    NEW.updated_at := statement_timestamp();
    NEW.changed_in := pg_current_xact_id();
    RETURN NEW;
END
$$;
CREATE TRIGGER item_changes BEFORE INSERT OR UPDATE OR DELETE ON items
    FOR EACH ROW EXECUTE FUNCTION livetally_item_changes();
ALTER TABLE items ENABLE ALWAYS TRIGGER item_changes; -- replication skips ordinary triggers

-- Stores all of some items, or none if one isn't at the version that its writer expects (0: it
-- must not exist). `new` is a JSON array of {id, value, version?}. Returns {"stale": [id…]} or
-- {"items": [{id, version, updated_at}…]}. Rows are locked in the order of their ids.
CREATE FUNCTION livetally_put_items(of_project integer, of_key text, new json) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
    stale json;
    stored json;
BEGIN
    -- A row without a value, where there was none, makes something to lock.
    INSERT INTO items (project, key, id)
    SELECT of_project, of_key, n.id FROM json_to_recordset(new) AS n (id text) ORDER BY n.id
    ON CONFLICT DO NOTHING;
    SELECT json_agg(held.id) INTO stale
    FROM (SELECT i.id, CASE WHEN i.value IS NULL THEN 0 ELSE i.version END AS version FROM items AS i
          WHERE i.project = of_project AND i.key = of_key
            AND i.id IN (SELECT n.id FROM json_to_recordset(new) AS n (id text))
          ORDER BY i.id FOR UPDATE) AS held
    JOIN json_to_recordset(new) AS n (id text, version bigint) ON n.id = held.id
    WHERE n.version <> held.version;
    IF stale IS NOT NULL THEN
        RETURN json_build_object('stale', stale);
    END IF;
    WITH put AS (
        UPDATE items AS i SET value = n.value
        FROM json_to_recordset(new) AS n (id text, value json)
        WHERE i.project = of_project AND i.key = of_key AND i.id = n.id
        RETURNING i.id, i.version, i.updated_at)
    SELECT json_agg(json_build_object('id', id, 'version', version, 'updated_at', updated_at))
    INTO stored FROM put;
    RETURN json_build_object('items', stored);
END
$$;
