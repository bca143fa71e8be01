-- What somebody asked of the backend by hand: who, what, when and why. Only ever added to.
CREATE TABLE admin_actions (
    id BIGINT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    -- User of the machine, as its kernel says.
    uid BIGINT NOT NULL CHECK (uid >= 0),
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT
);
INSERT INTO counters (name, value) VALUES ('admin-action', 0);

-- What of it stands: at most one pause, and one reading again that the scanner has not begun.
CREATE TABLE controls (
    name TEXT PRIMARY KEY NOT NULL CHECK (name IN ('pause', 'rescan')),
    action BIGINT NOT NULL REFERENCES admin_actions (id),
    from_height BIGINT CHECK (from_height >= 0),
    CHECK ((name = 'rescan') = (from_height IS NOT NULL))
);
