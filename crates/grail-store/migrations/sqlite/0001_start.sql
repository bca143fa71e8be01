-- Column types are spelled so that PostgreSQL reads them too, but for BLOB (there: BYTEA).
-- Times are unix seconds; hashes, scripts and outpoints are lowercase hex text, outpoints `txid:vout`.

-- Numbers given out in order of commit: the row stays locked until then, so a reader of a feed misses none.
CREATE TABLE counters (
    name TEXT PRIMARY KEY NOT NULL,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value)
VALUES ('request', 0), ('settlement', 0), ('job', 0), ('lease', 0), ('event', 0), ('alarm', 0);

-- What this database is about; written once.
CREATE TABLE facts (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

CREATE TABLE blocks (
    height BIGINT PRIMARY KEY NOT NULL,
    hash TEXT NOT NULL UNIQUE
);

CREATE TABLE transactions (
    txid TEXT PRIMARY KEY NOT NULL,
    raw BLOB NOT NULL
);

CREATE TABLE requests (
    id TEXT PRIMARY KEY NOT NULL,
    number BIGINT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    terms TEXT NOT NULL,
    roster TEXT NOT NULL,
    deposit_script TEXT NOT NULL UNIQUE,
    state_name TEXT NOT NULL,
    state TEXT NOT NULL,
    deadline_height BIGINT NOT NULL CHECK (deadline_height >= 0),
    idempotency_key TEXT UNIQUE,
    body_hash TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX requests_by_state ON requests (state_name, number);
CREATE INDEX requests_by_deadline ON requests (state_name, deadline_height);

CREATE TABLE deposits (
    outpoint TEXT PRIMARY KEY NOT NULL,
    request TEXT NOT NULL REFERENCES requests (id),
    amount_sat BIGINT NOT NULL CHECK (amount_sat >= 0 AND amount_sat <= 2100000000000000),
    charms TEXT NOT NULL,
    token_sat BIGINT CHECK (token_sat >= 0 AND token_sat <= 2100000000000000),
    height BIGINT,
    hash TEXT,
    state_name TEXT NOT NULL,
    code TEXT,
    reclaim_txid TEXT,
    reclaim_height BIGINT,
    reclaim_hash TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CHECK ((height IS NULL) = (hash IS NULL)),
    CHECK ((reclaim_height IS NULL) = (reclaim_hash IS NULL)),
    CHECK ((charms = 'zkbtc') = (token_sat IS NOT NULL))
);
CREATE INDEX deposits_by_request ON deposits (request);
CREATE INDEX deposits_by_state ON deposits (state_name, outpoint);
CREATE INDEX deposits_by_height ON deposits (height);
CREATE INDEX deposits_by_reclaim_height ON deposits (reclaim_height);

CREATE TABLE settlements (
    id BIGINT PRIMARY KEY NOT NULL,
    state_name TEXT NOT NULL,
    state TEXT NOT NULL,
    nft_input TEXT NOT NULL,
    nft_output TEXT,
    proposal BLOB NOT NULL,
    unsigned_tx BLOB,
    signed_tx BLOB,
    txid TEXT,
    fee_sat BIGINT CHECK (fee_sat >= 0 AND fee_sat <= 2100000000000000),
    weight BIGINT,
    vsize BIGINT,
    height BIGINT,
    hash TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CHECK ((height IS NULL) = (hash IS NULL))
);
-- Two live settlements never spend one NFT, nor are one transaction.
CREATE UNIQUE INDEX settlements_one_per_nft ON settlements (nft_input) WHERE state_name <> 'abandoned';
CREATE UNIQUE INDEX settlements_one_per_txid ON settlements (txid) WHERE state_name <> 'abandoned';
CREATE INDEX settlements_by_txid ON settlements (txid);
CREATE INDEX settlements_by_state ON settlements (state_name, id);
CREATE INDEX settlements_by_height ON settlements (height);

CREATE TABLE settlement_items (
    settlement BIGINT NOT NULL REFERENCES settlements (id),
    position BIGINT NOT NULL,
    request TEXT NOT NULL REFERENCES requests (id),
    deposit TEXT NOT NULL REFERENCES deposits (outpoint),
    amount_out_sat BIGINT NOT NULL CHECK (amount_out_sat >= 0 AND amount_out_sat <= 2100000000000000),
    fee_share_sat BIGINT NOT NULL CHECK (fee_share_sat >= 0 AND fee_share_sat <= 2100000000000000),
    -- 1 while the settlement is not abandoned.
    active BIGINT NOT NULL CHECK (active IN (0, 1)),
    PRIMARY KEY (settlement, position)
);
-- A deposit is used once, a request served once, among live settlements.
CREATE UNIQUE INDEX items_one_per_deposit ON settlement_items (deposit) WHERE active = 1;
CREATE UNIQUE INDEX items_one_per_request ON settlement_items (request) WHERE active = 1;

CREATE TABLE answers (
    settlement BIGINT NOT NULL REFERENCES settlements (id),
    signer_index BIGINT NOT NULL,
    verdict TEXT NOT NULL,
    code TEXT,
    details TEXT,
    signatures BLOB,
    late BIGINT NOT NULL CHECK (late IN (0, 1)),
    received_at BIGINT NOT NULL,
    PRIMARY KEY (settlement, signer_index)
);

CREATE TABLE jobs (
    id BIGINT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    idempotency_key TEXT NOT NULL UNIQUE,
    payload TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ready', 'leased', 'done', 'dead')),
    attempts BIGINT NOT NULL,
    -- When it may be leased: ready from here on, leased until here.
    due_at BIGINT NOT NULL,
    -- Token of the newest lease.
    token BIGINT NOT NULL,
    last_error TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX jobs_due ON jobs (kind, due_at, id) WHERE state IN ('ready', 'leased');
CREATE INDEX jobs_by_state ON jobs (state, id);

CREATE TABLE events (
    id BIGINT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX events_by_subject ON events (subject_kind, subject, id);

CREATE TABLE alarms (
    id BIGINT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    code TEXT NOT NULL,
    details TEXT NOT NULL,
    acknowledged_at BIGINT
);
