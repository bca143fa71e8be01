-- As on SQLite, without rows of before to move: triggers call functions, and an upsert says whose column it means.

-- What is large of a settlement, apart from what lists and scans read, and gone once nobody can need
-- it (ADR 19): what is to be proven, what operators are asked, the transaction without and with its
-- witnesses.
CREATE TABLE settlement_bodies (
    settlement BIGINT NOT NULL REFERENCES settlements (id),
    kind TEXT NOT NULL CHECK (kind IN ('draft', 'proposal', 'unsigned', 'signed')),
    body BLOB NOT NULL,
    PRIMARY KEY (settlement, kind)
);
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
CREATE FUNCTION requests_counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO request_totals (epoch, state_name, total) VALUES (NEW.epoch, NEW.state_name, 1)
    ON CONFLICT (epoch, state_name) DO UPDATE SET total = request_totals.total + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER requests_counted AFTER INSERT ON requests
    FOR EACH ROW EXECUTE FUNCTION requests_counted();
CREATE FUNCTION requests_moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE request_totals SET total = total - 1 WHERE epoch = OLD.epoch AND state_name = OLD.state_name;
    INSERT INTO request_totals (epoch, state_name, total) VALUES (NEW.epoch, NEW.state_name, 1)
    ON CONFLICT (epoch, state_name) DO UPDATE SET total = request_totals.total + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER requests_moved AFTER UPDATE OF epoch, state_name ON requests
    FOR EACH ROW EXECUTE FUNCTION requests_moved();
CREATE FUNCTION requests_uncounted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE request_totals SET total = total - 1 WHERE epoch = OLD.epoch AND state_name = OLD.state_name;
    RETURN NULL;
END $$;
CREATE TRIGGER requests_uncounted AFTER DELETE ON requests
    FOR EACH ROW EXECUTE FUNCTION requests_uncounted();

CREATE TABLE settlement_totals (
    state_name TEXT PRIMARY KEY NOT NULL,
    total BIGINT NOT NULL
);
CREATE FUNCTION settlements_counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO settlement_totals (state_name, total) VALUES (NEW.state_name, 1)
    ON CONFLICT (state_name) DO UPDATE SET total = settlement_totals.total + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER settlements_counted AFTER INSERT ON settlements
    FOR EACH ROW EXECUTE FUNCTION settlements_counted();
CREATE FUNCTION settlements_moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE settlement_totals SET total = total - 1 WHERE state_name = OLD.state_name;
    INSERT INTO settlement_totals (state_name, total) VALUES (NEW.state_name, 1)
    ON CONFLICT (state_name) DO UPDATE SET total = settlement_totals.total + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER settlements_moved AFTER UPDATE OF state_name ON settlements
    FOR EACH ROW EXECUTE FUNCTION settlements_moved();

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
CREATE FUNCTION proofs_counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO proof_totals
        (state, total, reused, attempts, ended, timed, duration_ms, fee_sat, fuel_thousands, fuel_rest)
    VALUES (NEW.state, 0, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (state) DO NOTHING;
    UPDATE proof_totals SET total = total + 1, reused = reused + NEW.reused, attempts = attempts + NEW.attempts,
        ended = ended + CASE WHEN NEW.attempts > 0 AND NEW.reused = 0 THEN 1 ELSE 0 END,
        timed = timed + CASE WHEN NEW.duration_ms IS NOT NULL THEN 1 ELSE 0 END,
        duration_ms = duration_ms + COALESCE(NEW.duration_ms, 0),
        fee_sat = fee_sat + COALESCE(NEW.fee_sat, 0) * (1 - NEW.reused),
        fuel_thousands = fuel_thousands + COALESCE(NEW.fuel / 1000, 0) * (1 - NEW.reused),
        fuel_rest = fuel_rest + COALESCE(NEW.fuel % 1000, 0) * (1 - NEW.reused)
    WHERE state = NEW.state;
    RETURN NULL;
END $$;
CREATE TRIGGER proofs_counted AFTER INSERT ON proofs
    FOR EACH ROW EXECUTE FUNCTION proofs_counted();
CREATE FUNCTION proofs_moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE proof_totals SET total = total - 1, reused = reused - OLD.reused, attempts = attempts - OLD.attempts,
        ended = ended - CASE WHEN OLD.attempts > 0 AND OLD.reused = 0 THEN 1 ELSE 0 END,
        timed = timed - CASE WHEN OLD.duration_ms IS NOT NULL THEN 1 ELSE 0 END,
        duration_ms = duration_ms - COALESCE(OLD.duration_ms, 0),
        fee_sat = fee_sat - COALESCE(OLD.fee_sat, 0) * (1 - OLD.reused),
        fuel_thousands = fuel_thousands - COALESCE(OLD.fuel / 1000, 0) * (1 - OLD.reused),
        fuel_rest = fuel_rest - COALESCE(OLD.fuel % 1000, 0) * (1 - OLD.reused)
    WHERE state = OLD.state;
    INSERT INTO proof_totals
        (state, total, reused, attempts, ended, timed, duration_ms, fee_sat, fuel_thousands, fuel_rest)
    VALUES (NEW.state, 0, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (state) DO NOTHING;
    UPDATE proof_totals SET total = total + 1, reused = reused + NEW.reused, attempts = attempts + NEW.attempts,
        ended = ended + CASE WHEN NEW.attempts > 0 AND NEW.reused = 0 THEN 1 ELSE 0 END,
        timed = timed + CASE WHEN NEW.duration_ms IS NOT NULL THEN 1 ELSE 0 END,
        duration_ms = duration_ms + COALESCE(NEW.duration_ms, 0),
        fee_sat = fee_sat + COALESCE(NEW.fee_sat, 0) * (1 - NEW.reused),
        fuel_thousands = fuel_thousands + COALESCE(NEW.fuel / 1000, 0) * (1 - NEW.reused),
        fuel_rest = fuel_rest + COALESCE(NEW.fuel % 1000, 0) * (1 - NEW.reused)
    WHERE state = NEW.state;
    RETURN NULL;
END $$;
CREATE TRIGGER proofs_moved AFTER UPDATE ON proofs
    FOR EACH ROW EXECUTE FUNCTION proofs_moved();

-- Of alarms that are gone as well: it only grows.
CREATE TABLE alarm_totals (
    code TEXT PRIMARY KEY NOT NULL,
    seen BIGINT NOT NULL
);
CREATE FUNCTION alarms_counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO alarm_totals (code, seen) VALUES (NEW.code, NEW.seen)
    ON CONFLICT (code) DO UPDATE SET seen = alarm_totals.seen + NEW.seen;
    RETURN NULL;
END $$;
CREATE TRIGGER alarms_counted AFTER INSERT ON alarms
    FOR EACH ROW EXECUTE FUNCTION alarms_counted();
CREATE FUNCTION alarms_seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE alarm_totals SET seen = seen + NEW.seen - OLD.seen WHERE code = NEW.code;
    RETURN NULL;
END $$;
CREATE TRIGGER alarms_seen AFTER UPDATE OF seen ON alarms
    FOR EACH ROW EXECUTE FUNCTION alarms_seen();

-- Since when the one that has been ready for longest is.
CREATE INDEX requests_ready_since ON requests (epoch, updated_at) WHERE state_name = 'ready';
CREATE INDEX alarms_open ON alarms (code) WHERE acknowledged_at IS NULL;

-- What is old enough to go.
CREATE INDEX jobs_ended ON jobs (updated_at) WHERE state = 'done' AND kind <> 'prove';
CREATE INDEX alarms_acknowledged ON alarms (acknowledged_at) WHERE acknowledged_at IS NOT NULL;
CREATE INDEX requests_keyed ON requests (created_at) WHERE idempotency_key IS NOT NULL;

-- Nearly all outputs there ever were are of one epoch: what is unspent is found by that.
DROP INDEX vault_outputs_by_epoch;
