-- A settlement that is to take the place of those that wait for a block (ADR 17): the oldest of them, which spends the
-- same NFT, and the height at which it was begun. Until it is published it holds nothing: neither NFT nor deposits nor
-- requests. Its items become active then.
ALTER TABLE settlements ADD COLUMN replaces BIGINT REFERENCES settlements (id);
ALTER TABLE settlements ADD COLUMN begun_height BIGINT CHECK ((begun_height IS NULL) = (replaces IS NULL));

-- Two settlements never hold one NFT, and one at a time stands by to take it.
DROP INDEX settlements_one_per_nft;
CREATE UNIQUE INDEX settlements_one_per_nft ON settlements (nft_input)
    WHERE state_name <> 'abandoned' AND (replaces IS NULL OR state_name IN ('broadcast', 'confirmed', 'final'));
CREATE UNIQUE INDEX settlements_one_stands_by ON settlements (nft_input)
    WHERE replaces IS NOT NULL AND state_name IN ('draft', 'proven', 'asked', 'signed');
CREATE INDEX settlements_by_nft ON settlements (nft_input);
