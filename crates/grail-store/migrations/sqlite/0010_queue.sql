-- Requests whose deposit is in a block and not settled yet, with all that decides when and at which fee rates they
-- come to their turn. One row for each request in *ready*, or in *unconfirmed* with a block; a start fills in what is
-- missing.
CREATE TABLE queue (
    request TEXT PRIMARY KEY NOT NULL REFERENCES requests (id),
    number BIGINT NOT NULL,
    epoch BIGINT NOT NULL CHECK (epoch >= 0),
    is_ready BIGINT NOT NULL CHECK (is_ready IN (0, 1)),
    -- First height at which its deposit has the confirmations that it needs: its place in the order.
    ready_height BIGINT NOT NULL CHECK (ready_height >= 0),
    -- First height at which it is too close to its reclaim to be settled.
    sweep_end BIGINT NOT NULL CHECK (sweep_end >= 0),
    -- Highest fee rate at which it could be settled, in a full batch, satoshis per 1,000 weight units.
    viable_rate BIGINT NOT NULL CHECK (viable_rate >= 0),
    -- Blocks for which it waits for lower fees.
    patience BIGINT NOT NULL CHECK (patience > 0)
);
CREATE INDEX queue_in_order ON queue (epoch, is_ready, ready_height, number, viable_rate);
CREATE INDEX queue_by_urgency ON queue (epoch, is_ready, sweep_end, number, viable_rate);
CREATE INDEX queue_by_rate ON queue (epoch, is_ready, viable_rate);
CREATE INDEX queue_by_sweep_end ON queue (sweep_end);
CREATE INDEX queue_by_confirmation ON queue (is_ready, ready_height);

-- Requests of a batch that could not be served, with the smallest such batch: they come again in halves of it, ahead
-- of others, until the one that spoils it is alone.
CREATE TABLE suspects (
    request TEXT PRIMARY KEY NOT NULL REFERENCES requests (id),
    size BIGINT NOT NULL CHECK (size > 0),
    settlement BIGINT NOT NULL REFERENCES settlements (id)
);
INSERT INTO suspects (request, size, settlement)
SELECT request, size, MIN(settlement) FROM (
    SELECT i.request AS request, i.settlement AS settlement, (
        SELECT COUNT(*) FROM settlement_items j WHERE j.settlement = i.settlement
    ) AS size
    FROM settlement_items i
    JOIN settlements s ON s.id = i.settlement
    JOIN requests r ON r.id = i.request
    WHERE s.state_name = 'abandoned' AND r.state_name IN ('ready', 'unconfirmed', 'settling')
    AND (s.state LIKE '%proving-failed%' OR s.state LIKE '%dry-run-refused%')
) f
WHERE size = (
    SELECT MIN((SELECT COUNT(*) FROM settlement_items j WHERE j.settlement = k.settlement))
    FROM settlement_items k JOIN settlements t ON t.id = k.settlement
    WHERE k.request = f.request AND t.state_name = 'abandoned'
    AND (t.state LIKE '%proving-failed%' OR t.state LIKE '%dry-run-refused%')
)
GROUP BY request, size;
