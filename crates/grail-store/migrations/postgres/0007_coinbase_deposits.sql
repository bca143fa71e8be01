-- Whether a block's reward made the deposit: such a coin cannot be spent before 100 confirmations.
ALTER TABLE deposits ADD COLUMN coinbase BIGINT NOT NULL DEFAULT 0 CHECK (coinbase IN (0, 1));
