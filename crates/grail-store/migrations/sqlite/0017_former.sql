-- Settlements of deposits that a former roster holds: whose answers they need too, and how often that came to nothing.
CREATE TABLE former_settlements (
    settlement BIGINT PRIMARY KEY NOT NULL REFERENCES settlements (id),
    -- The former roster's.
    epoch BIGINT NOT NULL CHECK (epoch >= 0)
);
CREATE INDEX former_settlements_by_epoch ON former_settlements (epoch, settlement);
