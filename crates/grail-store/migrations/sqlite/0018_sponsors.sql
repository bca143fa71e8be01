-- What a sponsor offers, so that the largest that may pay are read first: null of everybody else, and of one whose coin
-- is above what its terms name, which operators refuse. A start fills the queue again.
DELETE FROM queue;
ALTER TABLE queue ADD COLUMN offer_sat BIGINT CHECK (offer_sat >= 0);
CREATE INDEX queue_by_offer ON queue (epoch, is_ready, viable_rate, offer_sat);

-- Settlements that move donations into the vault's coin: how often that came to nothing, and when.
CREATE TABLE merges (
    settlement BIGINT PRIMARY KEY NOT NULL REFERENCES settlements (id)
);
