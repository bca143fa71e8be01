-- Rotations as mined, with what their inputs spend: beside the deployment all that a roster is read
-- from, verified anew at each start. The first roster is the deployment's own and has no row.
CREATE TABLE handovers (
    -- Of the roster that the rotation made.
    epoch BIGINT PRIMARY KEY NOT NULL CHECK (epoch > 0),
    -- Under which coins at its vault are kept: the first epoch that had the same vault.
    vault_epoch BIGINT NOT NULL CHECK (vault_epoch >= 0 AND vault_epoch <= epoch),
    txid TEXT NOT NULL UNIQUE,
    -- The NFT's output that it spends. It makes `txid:0`.
    nft_input TEXT NOT NULL UNIQUE,
    handover BLOB NOT NULL,
    height BIGINT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX handovers_by_height ON handovers (height);

-- What depends on a roster says whose epoch it is. No rotation was read before this, so every row of
-- before is of the first.
ALTER TABLE requests ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0 CHECK (epoch >= 0);
ALTER TABLE settlements ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0 CHECK (epoch >= 0);
ALTER TABLE vault_outputs ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0 CHECK (epoch >= 0);
CREATE INDEX vault_outputs_by_epoch ON vault_outputs (epoch);
CREATE INDEX requests_by_epoch ON requests (epoch, state_name, number);

-- The newest evidence that each signer has shown, as JSON: a roster's operators are not in the
-- deployment's file once it has changed.
CREATE TABLE signer_evidence (
    public_key TEXT PRIMARY KEY NOT NULL,
    record TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);
