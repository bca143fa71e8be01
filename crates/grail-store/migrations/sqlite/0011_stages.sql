-- Since when a settlement stands where it stands; rounds of asking are one stage.
ALTER TABLE settlements ADD COLUMN stage_since BIGINT NOT NULL DEFAULT 0;
UPDATE settlements SET stage_since = updated_at;
