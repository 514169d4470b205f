-- Where people pointed on a page, over a time (pointer_history). Only pointers are in this index: other
-- events pay nothing for it. A digest of the page, because a btree entry holds 2,704 bytes.
CREATE INDEX events_pointers ON events (project, md5(subject), received_at) WHERE type = 'pointer';
