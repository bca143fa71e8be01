-- Rotations that enough administrators have signed, by the number of their announcement. Documents as JSON: what they
-- say was verified when they were put in, and is verified again when they are used.
CREATE TABLE rotations (
    attempt BIGINT PRIMARY KEY NOT NULL CHECK (attempt > 0),
    -- The roster that hands over.
    epoch BIGINT NOT NULL CHECK (epoch >= 0),
    -- Hash of the roster to come.
    next TEXT NOT NULL,
    -- Absent where somebody else announced it.
    announcement TEXT,
    -- Once somebody asks that it be taken back.
    cancellation TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CHECK (announcement IS NOT NULL OR cancellation IS NOT NULL)
);

-- Settlements that are no settlements but steps of a rotation: they hold the NFT and their sponsors' deposits like any.
CREATE TABLE rotation_steps (
    settlement BIGINT PRIMARY KEY NOT NULL REFERENCES settlements (id),
    attempt BIGINT NOT NULL REFERENCES rotations (attempt),
    step TEXT NOT NULL CHECK (step IN ('announce', 'cancel', 'execute'))
);
CREATE INDEX rotation_steps_by_attempt ON rotation_steps (attempt, settlement);
