-- How the spell of each settlement is or was proven, and the proof, so that no request is proven twice.
CREATE TABLE proofs (
    settlement BIGINT PRIMARY KEY NOT NULL REFERENCES settlements (id),
    -- The job whose lease gives the right to prove.
    job BIGINT NOT NULL UNIQUE REFERENCES jobs (id),
    state TEXT NOT NULL CHECK (state IN ('queued', 'proving', 'proven', 'failed', 'abandoned')),
    -- Times that a prover was called.
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    -- Of the newest attempt: which process, what kind of prover, of what.
    worker TEXT,
    prover TEXT,
    request_hash TEXT,
    queued_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    -- What the proof took and cost. Time only when it was made for this settlement.
    duration_ms BIGINT CHECK (duration_ms >= 0),
    fuel BIGINT CHECK (fuel >= 0),
    fee_sat BIGINT CHECK (fee_sat >= 0 AND fee_sat <= 2100000000000000),
    -- Where the fee goes: the output that pays the prover is part of the transaction.
    fee_script BLOB,
    -- 1 when a proof made before was taken.
    reused BIGINT NOT NULL CHECK (reused IN (0, 1)),
    -- Script of the output that carries spell and proof; there before the settlement's state follows.
    op_return BLOB,
    -- What the newest failed attempt ended with.
    error_code TEXT,
    error_text TEXT,
    CHECK ((state IN ('proven', 'failed', 'abandoned')) = (finished_at IS NOT NULL)),
    CHECK (state <> 'proven' OR (fuel IS NOT NULL AND prover IS NOT NULL AND request_hash IS NOT NULL)),
    CHECK ((fee_sat IS NULL) = (fee_script IS NULL)),
    CHECK (state <> 'failed' OR error_code IS NOT NULL),
    CHECK (op_return IS NULL OR (fuel IS NOT NULL AND prover IS NOT NULL AND request_hash IS NOT NULL))
);
CREATE INDEX proofs_by_state ON proofs (state, settlement);
CREATE INDEX proofs_by_request ON proofs (request_hash, prover) WHERE op_return IS NOT NULL;
CREATE INDEX proofs_by_prover ON proofs (prover, finished_at) WHERE duration_ms IS NOT NULL;

-- Drafts that wait for their proof; of settlements proven before this table nothing is known.
INSERT INTO proofs (settlement, job, state, attempts, queued_at, reused)
SELECT settlements.id, jobs.id, 'queued', 0, jobs.created_at, 0
FROM settlements JOIN jobs ON jobs.idempotency_key = 'prove:' || settlements.id || ':0'
WHERE settlements.state_name = 'draft';
