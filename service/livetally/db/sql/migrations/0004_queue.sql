-- What came by the queue: why messages were refused, and which message an item's value is of.

-- Line 0 speaks of the message as a whole, others of one text of it or one line of its object.
-- Bounded: `queue_trim` keeps it so.
CREATE TABLE queue_refusals (
    message    text        NOT NULL,
    line       bigint      NOT NULL,
    object     text        NOT NULL,
    receives   integer     NOT NULL,
    cause      text        NOT NULL,
    reason     text        NOT NULL,
    head       text        NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (message, line)
);
CREATE INDEX queue_refusals_at ON queue_refusals (refused_at);

-- The last message that changed an item. SQS delivers twice and out of order: what was sent
-- earlier than this (or is this very message again) changes nothing.
CREATE TABLE item_sources (
    project integer NOT NULL,
    key     text    COLLATE "C" NOT NULL,
    id      text    COLLATE "C" NOT NULL,
    sent_ms bigint  NOT NULL,
    message text    COLLATE "C" NOT NULL,
    line    bigint  NOT NULL,
    PRIMARY KEY (project, key, id)
) WITH (fillfactor = 70);

-- As livetally_put_items, for items of the message `of_message`, sent at `of_ms`: only those that
-- are later than what the item has from messages. `new` is [{id, value, line, version?}…]. Returns
-- {"items": […]}, or {"stale": [id…]}, and then nothing is stored.
CREATE FUNCTION livetally_put_sent_items(
    of_project integer, of_key text, of_message text, of_ms bigint, new json
) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    later  json;
    answer json;
BEGIN
    WITH moved AS (
        INSERT INTO item_sources AS s (project, key, id, sent_ms, message, line)
        SELECT of_project, of_key, n.id, of_ms, of_message, n.line
        FROM json_to_recordset(new) AS n (id text, line bigint) ORDER BY n.id
        ON CONFLICT (project, key, id) DO UPDATE
        SET sent_ms = excluded.sent_ms, message = excluded.message, line = excluded.line
        WHERE (s.sent_ms, s.message, s.line) < (excluded.sent_ms, excluded.message, excluded.line)
        RETURNING id)
    SELECT json_agg(n) INTO later
    FROM json_array_elements(new) AS n WHERE n ->> 'id' IN (SELECT id FROM moved);
    IF later IS NULL THEN
        RETURN '{"items": []}';
    END IF;
    answer := livetally_put_items(of_project, of_key, later);
    IF answer -> 'stale' IS NOT NULL THEN  -- undo what is above
        RAISE EXCEPTION USING ERRCODE = 'LT409', MESSAGE = (answer -> 'stale')::text;
    END IF;
    RETURN answer;
EXCEPTION WHEN SQLSTATE 'LT409' THEN
    RETURN json_build_object('stale', SQLERRM::json);
END
$$;
