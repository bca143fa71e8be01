-- What is large of a settlement, apart from what lists and scans read, and gone once nobody can need
-- it (ADR 19): what is to be proven, what operators are asked, the transaction without and with its
-- witnesses.
CREATE TABLE settlement_bodies (
    settlement BIGINT NOT NULL REFERENCES settlements (id),
    kind TEXT NOT NULL CHECK (kind IN ('draft', 'proposal', 'unsigned', 'signed')),
    body BLOB NOT NULL,
    PRIMARY KEY (settlement, kind)
);
-- In rows of before drafts had a column a draft stands where the proposal does, without version or name.
INSERT INTO settlement_bodies (settlement, kind, body)
SELECT id, 'draft', COALESCE(draft, proposal) FROM settlements
WHERE draft IS NOT NULL
OR (state_name = 'draft' AND proposal_id IS NULL AND hex(substr(proposal, 1, 1)) >= '80');
INSERT INTO settlement_bodies (settlement, kind, body)
SELECT id, 'proposal', proposal FROM settlements
WHERE length(proposal) > 0
AND NOT (state_name = 'draft' AND proposal_id IS NULL AND hex(substr(proposal, 1, 1)) >= '80');
INSERT INTO settlement_bodies (settlement, kind, body)
SELECT id, 'unsigned', unsigned_tx FROM settlements WHERE unsigned_tx IS NOT NULL;
INSERT INTO settlement_bodies (settlement, kind, body)
SELECT id, 'signed', signed_tx FROM settlements WHERE signed_tx IS NOT NULL;
-- At once, so that the table is not rewritten with its large columns for each that goes.
UPDATE settlements SET draft = NULL, proposal = x'', unsigned_tx = NULL, signed_tx = NULL;
ALTER TABLE settlements DROP COLUMN draft;
ALTER TABLE settlements DROP COLUMN proposal;
ALTER TABLE settlements DROP COLUMN unsigned_tx;
ALTER TABLE settlements DROP COLUMN signed_tx;

-- Sums over everything that there ever was, kept by the database itself, so that nobody adds them up.
CREATE TABLE request_totals (
    epoch BIGINT NOT NULL,
    state_name TEXT NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (epoch, state_name)
);
INSERT INTO request_totals (epoch, state_name, total)
SELECT epoch, state_name, COUNT(*) FROM requests GROUP BY epoch, state_name;
CREATE TRIGGER requests_counted AFTER INSERT ON requests BEGIN
    INSERT INTO request_totals (epoch, state_name, total) VALUES (NEW.epoch, NEW.state_name, 1)
    ON CONFLICT (epoch, state_name) DO UPDATE SET total = total + 1;
END;
CREATE TRIGGER requests_moved AFTER UPDATE OF epoch, state_name ON requests BEGIN
    UPDATE request_totals SET total = total - 1 WHERE epoch = OLD.epoch AND state_name = OLD.state_name;
    INSERT INTO request_totals (epoch, state_name, total) VALUES (NEW.epoch, NEW.state_name, 1)
    ON CONFLICT (epoch, state_name) DO UPDATE SET total = total + 1;
END;
CREATE TRIGGER requests_uncounted AFTER DELETE ON requests BEGIN
    UPDATE request_totals SET total = total - 1 WHERE epoch = OLD.epoch AND state_name = OLD.state_name;
END;

CREATE TABLE settlement_totals (
    state_name TEXT PRIMARY KEY NOT NULL,
    total BIGINT NOT NULL
);
INSERT INTO settlement_totals (state_name, total)
SELECT state_name, COUNT(*) FROM settlements GROUP BY state_name;
CREATE TRIGGER settlements_counted AFTER INSERT ON settlements BEGIN
    INSERT INTO settlement_totals (state_name, total) VALUES (NEW.state_name, 1)
    ON CONFLICT (state_name) DO UPDATE SET total = total + 1;
END;
CREATE TRIGGER settlements_moved AFTER UPDATE OF state_name ON settlements BEGIN
    UPDATE settlement_totals SET total = total - 1 WHERE state_name = OLD.state_name;
    INSERT INTO settlement_totals (state_name, total) VALUES (NEW.state_name, 1)
    ON CONFLICT (state_name) DO UPDATE SET total = total + 1;
END;

-- Proofs by the state that they are in, with sums. `ended`: those whose last call of a prover came to
-- an end, or is under way.
CREATE TABLE proof_totals (
    state TEXT PRIMARY KEY NOT NULL,
    total BIGINT NOT NULL,
    reused BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    timed BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    fee_sat BIGINT NOT NULL,
    fuel_thousands BIGINT NOT NULL,
    fuel_rest BIGINT NOT NULL
);
INSERT INTO proof_totals
    (state, total, reused, attempts, ended, timed, duration_ms, fee_sat, fuel_thousands, fuel_rest)
SELECT state, COUNT(*), SUM(reused), SUM(attempts),
    SUM(CASE WHEN attempts > 0 AND reused = 0 THEN 1 ELSE 0 END),
    COUNT(duration_ms), COALESCE(SUM(duration_ms), 0),
    COALESCE(SUM(CASE WHEN reused = 0 THEN fee_sat END), 0),
    COALESCE(SUM(CASE WHEN reused = 0 THEN fuel / 1000 END), 0),
    COALESCE(SUM(CASE WHEN reused = 0 THEN fuel % 1000 END), 0)
FROM proofs GROUP BY state;
CREATE TRIGGER proofs_counted AFTER INSERT ON proofs BEGIN
    INSERT INTO proof_totals
        (state, total, reused, attempts, ended, timed, duration_ms, fee_sat, fuel_thousands, fuel_rest)
    VALUES (NEW.state, 0, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (state) DO NOTHING;
    UPDATE proof_totals SET total = total + 1, reused = reused + NEW.reused, attempts = attempts + NEW.attempts,
        ended = ended + (NEW.attempts > 0 AND NEW.reused = 0), timed = timed + (NEW.duration_ms IS NOT NULL),
        duration_ms = duration_ms + COALESCE(NEW.duration_ms, 0),
        fee_sat = fee_sat + COALESCE(NEW.fee_sat, 0) * (1 - NEW.reused),
        fuel_thousands = fuel_thousands + COALESCE(NEW.fuel / 1000, 0) * (1 - NEW.reused),
        fuel_rest = fuel_rest + COALESCE(NEW.fuel % 1000, 0) * (1 - NEW.reused)
    WHERE state = NEW.state;
END;
CREATE TRIGGER proofs_moved AFTER UPDATE ON proofs BEGIN
    UPDATE proof_totals SET total = total - 1, reused = reused - OLD.reused, attempts = attempts - OLD.attempts,
        ended = ended - (OLD.attempts > 0 AND OLD.reused = 0), timed = timed - (OLD.duration_ms IS NOT NULL),
        duration_ms = duration_ms - COALESCE(OLD.duration_ms, 0),
        fee_sat = fee_sat - COALESCE(OLD.fee_sat, 0) * (1 - OLD.reused),
        fuel_thousands = fuel_thousands - COALESCE(OLD.fuel / 1000, 0) * (1 - OLD.reused),
        fuel_rest = fuel_rest - COALESCE(OLD.fuel % 1000, 0) * (1 - OLD.reused)
    WHERE state = OLD.state;
    INSERT INTO proof_totals
        (state, total, reused, attempts, ended, timed, duration_ms, fee_sat, fuel_thousands, fuel_rest)
    VALUES (NEW.state, 0, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (state) DO NOTHING;
    UPDATE proof_totals SET total = total + 1, reused = reused + NEW.reused, attempts = attempts + NEW.attempts,
        ended = ended + (NEW.attempts > 0 AND NEW.reused = 0), timed = timed + (NEW.duration_ms IS NOT NULL),
        duration_ms = duration_ms + COALESCE(NEW.duration_ms, 0),
        fee_sat = fee_sat + COALESCE(NEW.fee_sat, 0) * (1 - NEW.reused),
        fuel_thousands = fuel_thousands + COALESCE(NEW.fuel / 1000, 0) * (1 - NEW.reused),
        fuel_rest = fuel_rest + COALESCE(NEW.fuel % 1000, 0) * (1 - NEW.reused)
    WHERE state = NEW.state;
END;

-- Of alarms that are gone as well: it only grows.
CREATE TABLE alarm_totals (
    code TEXT PRIMARY KEY NOT NULL,
    seen BIGINT NOT NULL
);
INSERT INTO alarm_totals (code, seen) SELECT code, SUM(seen) FROM alarms GROUP BY code;
CREATE TRIGGER alarms_counted AFTER INSERT ON alarms BEGIN
    INSERT INTO alarm_totals (code, seen) VALUES (NEW.code, NEW.seen)
    ON CONFLICT (code) DO UPDATE SET seen = seen + NEW.seen;
END;
CREATE TRIGGER alarms_seen AFTER UPDATE OF seen ON alarms BEGIN
    UPDATE alarm_totals SET seen = seen + NEW.seen - OLD.seen WHERE code = NEW.code;
END;

-- Since when the one that has been ready for longest is.
CREATE INDEX requests_ready_since ON requests (epoch, updated_at) WHERE state_name = 'ready';
CREATE INDEX alarms_open ON alarms (code) WHERE acknowledged_at IS NULL;

-- What is old enough to go.
CREATE INDEX jobs_ended ON jobs (updated_at) WHERE state = 'done' AND kind <> 'prove';
CREATE INDEX alarms_acknowledged ON alarms (acknowledged_at) WHERE acknowledged_at IS NOT NULL;
CREATE INDEX requests_keyed ON requests (created_at) WHERE idempotency_key IS NOT NULL;

-- Nearly all outputs there ever were are of one epoch: what is unspent is found by that.
DROP INDEX vault_outputs_by_epoch;
