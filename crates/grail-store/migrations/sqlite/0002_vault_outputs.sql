-- What the chain says of the bridge's own outputs: derived from blocks alone, so that reserves are true whatever else
-- these books say, and can be read again from an empty database.
CREATE TABLE vault_outputs (
    outpoint TEXT PRIMARY KEY NOT NULL,
    -- nft: carries the roster NFT. vault: made by a settlement. donation: sent by somebody else.
    kind TEXT NOT NULL CHECK (kind IN ('nft', 'vault', 'donation')),
    amount_sat BIGINT NOT NULL CHECK (amount_sat >= 0 AND amount_sat <= 2100000000000000),
    -- zkBTC in existence according to the NFT's state.
    supply_sat BIGINT CHECK (supply_sat >= 0 AND supply_sat <= 2100000000000000),
    height BIGINT NOT NULL,
    hash TEXT NOT NULL,
    spent_txid TEXT,
    spent_height BIGINT,
    spent_hash TEXT,
    CHECK ((kind = 'nft') = (supply_sat IS NOT NULL)),
    CHECK ((spent_txid IS NULL) = (spent_height IS NULL)),
    CHECK ((spent_height IS NULL) = (spent_hash IS NULL))
);
CREATE INDEX vault_outputs_unspent ON vault_outputs (kind, amount_sat) WHERE spent_txid IS NULL;
CREATE INDEX vault_outputs_by_height ON vault_outputs (height);
CREATE INDEX vault_outputs_by_spent_height ON vault_outputs (spent_height);

-- Lists for people: newest first.
CREATE INDEX settlement_items_by_request ON settlement_items (request);
