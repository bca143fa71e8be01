-- One row for one fact while its alarm is open, with how often and when it was last seen. Rows of before have no
-- subject: they stay as they are, each for itself.
ALTER TABLE alarms ADD COLUMN subject TEXT NOT NULL DEFAULT '';
ALTER TABLE alarms ADD COLUMN seen BIGINT NOT NULL DEFAULT 1;
ALTER TABLE alarms ADD COLUMN last_at BIGINT;
CREATE UNIQUE INDEX alarms_one_per_fact ON alarms (code, subject) WHERE acknowledged_at IS NULL AND subject <> '';
