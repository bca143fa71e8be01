-- Answers by attempt: a "no" counts for the attempt that it was given to and for no other. Of the epoch whose roster the
-- signer's position is in. Answers of before were to the only attempt that there was.
CREATE TABLE answers_by_attempt (
    settlement BIGINT NOT NULL REFERENCES settlements (id),
    signer_index BIGINT NOT NULL,
    attempt BIGINT NOT NULL CHECK (attempt >= 0),
    epoch BIGINT NOT NULL CHECK (epoch >= 0),
    verdict TEXT NOT NULL,
    code TEXT,
    details TEXT,
    signatures BLOB,
    late BIGINT NOT NULL CHECK (late IN (0, 1)),
    received_at BIGINT NOT NULL,
    PRIMARY KEY (settlement, signer_index, attempt)
);
INSERT INTO answers_by_attempt
    (settlement, signer_index, attempt, epoch, verdict, code, details, signatures, late, received_at)
SELECT settlement, signer_index, 0, 0, verdict, code, details, signatures, late, received_at FROM answers;
DROP TABLE answers;
ALTER TABLE answers_by_attempt RENAME TO answers;

-- What everybody else calls a settlement: the hash of the proposal that operators are asked about.
ALTER TABLE settlements ADD COLUMN proposal_id TEXT;
CREATE INDEX settlements_by_proposal ON settlements (proposal_id) WHERE proposal_id IS NOT NULL;
