-- Whether a block's reward made the deposit: such a coin cannot be spent before 100 confirmations.
ALTER TABLE deposits ADD COLUMN coinbase BIGINT NOT NULL DEFAULT 0 CHECK (coinbase IN (0, 1));
-- Of deposits seen before, their transactions tell: one input, of no transaction (BIP-141 puts 0001 before the count).
UPDATE deposits SET coinbase = 1 WHERE EXISTS (
    SELECT 1 FROM transactions t
    WHERE t.txid = substr(deposits.outpoint, 1, 64)
    AND (
        substr(hex(t.raw), 9, 74) = '01' || hex(zeroblob(32)) || 'FFFFFFFF'
        OR substr(hex(t.raw), 9, 78) = '000101' || hex(zeroblob(32)) || 'FFFFFFFF'
    )
);
