-- What is to be proven, beside what operators are asked. Until now a draft stood in `proposal`; such rows are read
-- there for as long as their settlement is a draft.
ALTER TABLE settlements ADD COLUMN draft BLOB;
