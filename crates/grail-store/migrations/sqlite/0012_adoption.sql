-- A settlement that a block holds and that this database did not make is read from the chain (ADR 14): it has a
-- transaction and items, and neither draft, proposal, proof nor answers.
ALTER TABLE settlements ADD COLUMN adopted BIGINT NOT NULL DEFAULT 0 CHECK (adopted IN (0, 1));

-- What a settlement pays, also where the chain names a request that is not in these rows: a receipt may bring it later.
CREATE TABLE items_of_all (
    settlement BIGINT NOT NULL REFERENCES settlements (id),
    position BIGINT NOT NULL,
    request TEXT NOT NULL,
    deposit TEXT NOT NULL,
    -- The same again once they have rows; always in what was planned here.
    request_row TEXT REFERENCES requests (id),
    deposit_row TEXT REFERENCES deposits (outpoint),
    amount_out_sat BIGINT NOT NULL CHECK (amount_out_sat >= 0 AND amount_out_sat <= 2100000000000000),
    fee_share_sat BIGINT NOT NULL CHECK (fee_share_sat >= 0 AND fee_share_sat <= 2100000000000000),
    -- 1 while the settlement is not abandoned.
    active BIGINT NOT NULL CHECK (active IN (0, 1)),
    -- 1 in an adopted settlement.
    adopted BIGINT NOT NULL DEFAULT 0 CHECK (adopted IN (0, 1)),
    PRIMARY KEY (settlement, position),
    CHECK (request_row IS NULL OR request_row = request),
    CHECK (deposit_row IS NULL OR deposit_row = deposit),
    CHECK ((request_row IS NULL) = (deposit_row IS NULL)),
    CHECK (adopted = 1 OR request_row IS NOT NULL)
);
INSERT INTO items_of_all
    (settlement, position, request, deposit, request_row, deposit_row, amount_out_sat, fee_share_sat, active)
SELECT settlement, position, request, deposit, request, deposit, amount_out_sat, fee_share_sat, active
FROM settlement_items;
DROP TABLE settlement_items;
ALTER TABLE items_of_all RENAME TO settlement_items;
-- A deposit is used once among live settlements. A request is served once by those that are planned here; the chain may
-- hold two settlements that pay it, each with a deposit of its own.
CREATE UNIQUE INDEX items_one_per_deposit ON settlement_items (deposit) WHERE active = 1;
CREATE UNIQUE INDEX items_one_per_request ON settlement_items (request) WHERE active = 1 AND adopted = 0;
CREATE INDEX settlement_items_by_request ON settlement_items (request);
