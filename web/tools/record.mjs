/**
 * Records calls to the core from a bridge on regtest: `GRAIL_API=... node tools/record.mjs`.
 *
 * Written to `core/tests/calls.json`, which the native core and both wasm files answer alike. Then
 * `GRAIL_BLESS=1 cargo test` in `core`, once with `--features development`, writes the answers.
 */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { load } from "../tests/core.mjs";

const api = process.env.GRAIL_API;
const { call } = load("development");
const ask = (value) => {
  const answer = JSON.parse(call(JSON.stringify(value)));
  if (answer.error) throw new Error(JSON.stringify(answer.error));
  return answer.ok;
};
async function get(path, init) {
  const answer = await fetch(new URL(path, api), init);
  const body = await answer.json();
  if (!answer.ok) throw new Error(JSON.stringify(body));
  return body;
}

// Published words of BIP-39: nobody keeps money with them.
const words = `${"abandon ".repeat(11)}about`;
const now = Math.floor(Date.now() / 1000);
const [params, roster] = await Promise.all([get("/v1/params"), get("/v1/roster")]);
const rosters = [];
for (let epoch = 0; epoch <= roster.epoch; epoch++) rosters.push(await get(`/v1/rosters/${epoch}`));
const shown = { params: "$params", roster: "$roster", rosters: "$rosters", pin: null, now };
const network = params.bridge.network;

async function asked(kind, number) {
  const own = ask({ call: "slot", words, network, slot: 400_000 + number });
  const body = {
    [kind === "peg-in" ? "recipient_address" : "payout_address"]: own.address,
    reclaim_public_key: own.reclaim_public_key,
    fee_cap_sat: 10_000,
    amount_sat: 700_000,
    nonce: own.nonce,
  };
  const answer = await get(`/v1/${kind}s`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "idempotency-key": randomBytes(16).toString("hex"),
    },
    body: JSON.stringify(body),
  });
  return { own, body, answer, status: await get(`/v1/${kind}s/${answer.id}`) };
}

// Another number each time: terms are asked for once.
const first = Math.floor(now / 10) % 100_000;
const pegIn = await asked("peg-in", first);
const pegOut = await asked("peg-out", first + 1);
const shared = { params, roster, rosters, shown, words };
const cases = [];
const add = (name, call, set) => cases.push(set ? { name, call, set } : { name, call });

const bridge = { call: "bridge", ...shown };
const pin = { params: "$params", genesis: rosters[0].txid };
add("a bridge on the first visit", bridge);
add("a bridge that follows from the pin", { ...bridge, pin });
const somebody = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const elsewhere = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6";
for (const [name, set] of [
  ["another deployment than the pinned one", ["/pin/genesis", "ab".repeat(32)]],
  ["another parameter", ["/params/params/deposit_confirmations", 99]],
  ["another params hash", ["/params/params_hash", "ab".repeat(32)]],
  ["another vault address", ["/roster/address", elsewhere]],
  ["another signer", ["/roster/signers/2/public_key", somebody]],
  ["evidence of another signer", ["/roster/signers/2/evidence", roster.signers[3].evidence]],
  ["evidence that is none", ["/roster/signers/0/evidence", "AAAA"]],
  ["another threshold", ["/roster/threshold", roster.threshold - 1]],
  ["another epoch", ["/roster/epoch", roster.epoch + 1]],
  ["a clock that is a day late", ["/now", now - 86_400]],
  ["no history", ["/rosters", []]],
  ["a history without its end", ["/rosters", "$shortened"]],
  ["another transaction in the history", ["/rosters/0/transaction", rosters[0].transaction.replace(/.{8}$/, "01000000")]],
]) {
  const value = set[1] === "$shortened" ? rosters.slice(0, -1) : set[1];
  add(`a bridge with ${name}`, { ...bridge, pin }, [[set[0], value]]);
}
for (const [kind, { own, body, answer, status }] of [["peg-in", pegIn], ["peg-out", pegOut]]) {
  shared[`${kind}-answer`] = answer;
  const check = { call: "check-answer", kind, body, shown: "$shown", answer: `$${kind}-answer`, own };
  add(`a ${kind} answered`, check);
  for (const [name, ...set] of [
    ["another address", ["/answer/deposit_address", elsewhere]],
    ["another address in the receipt too", ["/answer/deposit_address", elsewhere], ["/answer/receipt/deposit_address", elsewhere]],
    ["another cap", ["/answer/receipt/terms/fee_cap", 10_001]],
    ["another destination", ["/answer/receipt/terms/destination", `5120${somebody}`]],
    ["another reclaim key", ["/answer/receipt/terms/reclaim_key", somebody]],
    ["another delay", ["/answer/receipt/terms/reclaim_delay", 2_000]],
    ["another id", ["/answer/id", "ab".repeat(32)]],
    ["evidence of another signer", ["/shown/roster/signers/2/evidence", roster.signers[3].evidence]],
    ["terms that were not asked for", ["/body/fee_cap_sat", 20_000]],
  ]) add(`a ${kind} answered with ${name}`, check, set);
  const wish = {
    call: "wish", kind, body: { ...body, fee_cap_sat: 0 }, params: "$params", roster: "$roster",
    fee_rate_sat_per_kvb: 1_004, amount_sat: 700_000,
  };
  add(`a wish for a ${kind}`, wish);
  add(`a wish for a ${kind} below the smallest`, wish, [["/body/amount_sat", 5], ["/amount_sat", 5]]);
  add(`a wish for a ${kind} at high fees`, wish, [["/fee_rate_sat_per_kvb", 80_000]]);
  add(`a ${kind} looked up`, { call: "check-status", id: answer.id, status });
  add(`another ${kind} than looked up`, { call: "check-status", id: "ab".repeat(32), status });
  const file = JSON.stringify({ receipt: answer.receipt, slot: own.slot, stored_at: now });
  add(`the receipt of a ${kind}`, { call: "check-receipt", text: file, id: answer.id });
  add(`the receipt of another ${kind}`, { call: "check-receipt", text: file, id: "ab".repeat(32) });
  add(`a bare receipt of a ${kind}`, { call: "check-receipt", text: JSON.stringify(answer.receipt) });
  const reclaim = {
    call: "reclaim", receipt: file, words: "$words", outpoint: `${"ab".repeat(32)}:1`,
    amount_sat: 700_000, to: own.address, fee_rate_sat_per_vb: 2,
  };
  add(`a ${kind} taken back`, reclaim);
  if (kind === "peg-in") {
    add("taken back with other words", reclaim, [["/words", `${"zoo ".repeat(11)}wrong`]]);
    add("taken back with no words", reclaim, [["/words", "nothing"]]);
    add("taken back at a rate of nothing", reclaim, [["/fee_rate_sat_per_vb", 0]]);
    add("taken back at a rate that takes all", reclaim, [["/fee_rate_sat_per_vb", 2_000], ["/amount_sat", 1_000]]);
    add("taken back to nowhere", reclaim, [["/to", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"]]);
    add("taken back from another transaction", { ...reclaim, transaction: rosters[0].transaction });
  }
}
add("new words", { call: "new-words", entropy: "7f".repeat(16), network });
add("new words of too little", { call: "new-words", entropy: "7f", network });
add("words of somebody", { call: "check-words", words, network });
add("words of nobody", { call: "check-words", words: words.replace("about", "above"), network });
add("what a slot takes from the words", { call: "slot", words, network: "signet", slot: 48_003 });
add("the slots of a day", { call: "slots", height: 1_000 });
writeFileSync(
  join(import.meta.dirname, "../core/tests/calls.json"),
  `${JSON.stringify({ shared, cases }, null, 1)}\n`,
);
console.log(`${cases.length} calls`);
