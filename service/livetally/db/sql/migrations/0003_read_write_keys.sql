-- Clients of the older systems have one key to send, ask and watch with. An admin key could do that
-- but sees every project; this role is its own project's only.
ALTER TABLE keys
    DROP CONSTRAINT keys_role_check,
    ADD CONSTRAINT keys_role_check CHECK (role IN ('write', 'read', 'read_write', 'admin'));
