-- Ready requests whose part of a settlement's fee is above what they pay at most, since when that has been so whenever
-- it was looked at.
CREATE TABLE fee_waits (
    request TEXT PRIMARY KEY NOT NULL REFERENCES requests (id),
    since_height BIGINT NOT NULL CHECK (since_height >= 0)
);
