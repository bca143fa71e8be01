/**
 * What codes mean, and what to do. Each map is exhaustive: a new code of the API without words does
 * not build.
 */
import type {
  HoldingRoster,
  ProblemCode,
  ReclaimCode,
  RequestState,
  ServingState,
  StatusCode,
} from "./api";
import { Failed } from "./failed";

export interface Words {
  title: string;
  todo: string;
}

export const SERVING: Record<ServingState, Words> = {
  serving: { title: "Serving", todo: "Requests are taken and served as usual." },
  degraded: { title: "Slower than usual", todo: "Requests are taken, and may take longer." },
  paused: {
    title: "Paused",
    todo: "No request is taken now. Deposits made before are safe: they are served later, or yours to take back.",
  },
};

export const STATUS: Record<StatusCode, string> = {
  "paused-by-hand": "Whoever runs the bridge has paused it",
  "alarm-open": "An alarm is open; nothing is signed until it is looked at",
  "quorum-away": "Too few operators have been heard of lately",
  "node-away": "The bridge's Bitcoin node does not answer",
  "scan-behind": "The bridge is still reading the chain",
  "roster-unsettled": "The roster of operators is changing",
  "prover-away": "A settlement has waited far too long for its proof",
  "lane-stuck": "A settlement has waited far too long to be published",
  "reserves-short": "Less is in the vault than zkBTC exists",
  "alarm-to-see": "An alarm is open that stops nothing",
  "operators-away": "Some operators have not been heard of lately; enough have",
  "scan-lagging": "The bridge is a few blocks behind",
  "no-fee-rate": "There is no estimate of fees; settlements wait for one",
  "prover-slow": "Proofs take longer than usual",
  "lane-slow": "Settlements take longer than usual",
  "lane-full": "As many settlements as there may be wait for a block",
  "last-resort-near": "Nothing was settled for half a year",
  "queue-long": "More requests are ready than one settlement holds",
  "outflow-limit": "As much zkBTC as may leave for now has left; peg-outs wait for blocks",
};

export const STATE: Record<RequestState, Words> = {
  "awaiting-deposit": {
    title: "Waiting for your deposit",
    todo: "Pay the deposit address once, before the deadline.",
  },
  unconfirmed: {
    title: "Deposit seen",
    todo: "It needs blocks on top of it. Nothing to do.",
  },
  ready: {
    title: "Ready",
    todo: "It goes into the next settlement. Nothing to do.",
  },
  settling: {
    title: "Being settled",
    todo: "A settlement with your request is proven, signed and mined. Nothing to do.",
  },
  paid: { title: "Paid", todo: "Done: the settlement is final." },
  reclaimable: {
    title: "Not served: take it back",
    todo: "The deposit is yours to take back with your reclaim key, once it is old enough.",
  },
  reclaimed: { title: "Taken back", todo: "You took the deposit back. Nothing more happens." },
  taken: {
    title: "Taken by operators",
    todo: "Operators spent the deposit in a transaction that breaks the bridge's rules. Keep your receipt: it proves what you were promised.",
  },
  expired: {
    title: "Expired",
    todo: "No deposit came by the deadline. Do not pay this address any more; make a new request. What is paid all the same can be taken back.",
  },
};

export const RECLAIM: Record<ReclaimCode, string> = {
  "below-minimum": "The deposit is smaller than the smallest that is served.",
  "above-maximum": "The deposit is larger than the largest that is served.",
  "wrong-charms": "The deposit carries zkBTC or other charms where it should not, or none where it should.",
  late: "The deposit came after the deadline.",
  "duplicate-deposit": "The request has another deposit, and only one is served.",
  "fee-above-cap": "Its share of the fee stayed above your fee cap.",
  "too-close-to-reclaim": "It was not settled before you may take it back.",
  refused: "The operators' policy refuses it.",
};

export const HOLDING: Record<HoldingRoster, string> = {
  holds: "The operators of now hold the deposit.",
  leaving: "The operators that hold the deposit are about to hand over.",
  former: "Former operators hold the deposit and still answer: it is settled with their help.",
  gone: "The operators that held the deposit are gone. It is yours to take back.",
};

const RETRY = "Try again in a moment.";
const REPORT = "This is a fault of the page or the server. Nothing was paid. Reload; if it stays, report it with its code.";
const PROBLEM: Record<ProblemCode, Words> = {
  "malformed-body": { title: "The server could not read the request", todo: REPORT },
  "unknown-field": { title: "The server is older than this page", todo: REPORT },
  "body-too-large": { title: "The request is too large", todo: REPORT },
  "unsupported-media-type": { title: "The server could not read the request", todo: REPORT },
  "bad-query": { title: "The server could not read the request", todo: REPORT },
  "bad-id": { title: "This is no request's name", todo: "Check the link: a name has 64 characters." },
  "bad-address": { title: "This is no Bitcoin address", todo: "Copy the whole address again." },
  "wrong-network-address": {
    title: "An address of another network",
    todo: "Use an address of the network that this bridge is on.",
  },
  "unsupported-address": {
    title: "This kind of address cannot be paid to",
    todo: "Use a segwit or taproot address.",
  },
  "unspendable-address": {
    title: "Nobody can spend from this address",
    todo: "Use an address that your wallet made.",
  },
  "bad-public-key": {
    title: "This is no reclaim key",
    todo: "Paste an x-only public key: 64 characters of 0-9 and a-f.",
  },
  "amount-zero": { title: "The amount is zero", todo: "Enter what you want to move." },
  "amount-below-minimum": { title: "Below the smallest amount", todo: "Enter a larger amount." },
  "amount-above-maximum": { title: "Above the largest amount", todo: "Enter a smaller amount." },
  "fee-cap-too-low": { title: "The fee cap is too low", todo: "No settlement could serve it: raise the cap." },
  "fee-cap-too-high": { title: "The fee cap is too high", todo: "It could take the whole amount: lower the cap, or move more." },
  "reclaim-delay-out-of-range": { title: "The reclaim delay is not served", todo: "Choose one within the limits." },
  "bad-receipt": { title: "The receipt is not valid", todo: "Use the file as it was saved." },
  "foreign-receipt": { title: "The receipt is of another bridge", todo: "Open the page of the bridge that it is of." },
  "deposit-not-found": { title: "The bridge does not know the deposit", todo: "Check that it is in a block." },
  "idempotency-key-missing": { title: "The server refused the request", todo: REPORT },
  "bad-idempotency-key": { title: "The server refused the request", todo: REPORT },
  "idempotency-conflict": {
    title: "These words have made this request before",
    todo: "Ask again: the next number is taken.",
  },
  "not-found": { title: "Not found", todo: "Check the link. A request that was never paid is forgotten after a while." },
  "method-not-allowed": { title: "The server refused the request", todo: REPORT },
  "rate-limited": { title: "Too many requests", todo: RETRY },
  unavailable: { title: "The bridge is busy", todo: RETRY },
  paused: { title: "The bridge takes no requests now", todo: "The start page says why. Try again later." },
  "bad-rotation": { title: "The rotation is not valid", todo: REPORT },
  "foreign-rotation": { title: "The rotation is not the bridge's next", todo: REPORT },
  "not-consented": { title: "Too few administrators consent", todo: REPORT },
  "rotation-conflict": { title: "Another rotation is on its way", todo: REPORT },
  internal: { title: "The server failed", todo: REPORT },
};

const DO_NOT_PAY = "Do not pay anything that this page's server tells you. Ask the operators, or use the command line wallet.";
/** What the core says no with, where the API has no such code. */
const CORE: Record<string, Words> = {
  unreachable: { title: "The bridge does not answer", todo: "Check your connection. Your receipts are in this browser, and a reclaim needs no server." },
  "core-missing": { title: "The checking part of this page did not load", todo: "Reload. Without it nothing is shown that could be paid." },
  "core-trapped": { title: "The checking part of this page stopped", todo: "Reload. If it stays, report what you did." },
  "page-failed": { title: "Something in this page failed", todo: REPORT },
  "no-storage": { title: "This browser keeps nothing", todo: "Allow this page to store data, or leave private browsing." },
  "call-malformed": { title: "The server's answer cannot be read", todo: "Page and server may be of different versions: reload." },
  "params-hash": { title: "The bridge's parameters contradict their hash", todo: DO_NOT_PAY },
  "images-not-pinned": { title: "The enclave images are not those that the parameters name", todo: DO_NOT_PAY },
  "bridge-changed": { title: "This is another bridge than before", todo: `${DO_NOT_PAY} If you know that it is right, forget the pinned bridge in the settings.` },
  "not-genesis": { title: "This is another deployment than before", todo: DO_NOT_PAY },
  "pin-not-in-history": { title: "The bridge does not follow from the one that you pinned", todo: DO_NOT_PAY },
  "params-changed": { title: "The bridge goes by other parameters than its roster's", todo: DO_NOT_PAY },
  "administrators-changed": { title: "The bridge has other administrators than its roster says", todo: DO_NOT_PAY },
  "history-gap": { title: "The history of rosters is not whole", todo: `${RETRY} If it stays: ${DO_NOT_PAY}` },
  "history-differs": { title: "The history of rosters contradicts the chain's transactions", todo: DO_NOT_PAY },
  "history-malformed": { title: "The history of rosters cannot be read", todo: DO_NOT_PAY },
  "roster-differs": { title: "Another roster than the one that holds the bridge", todo: `${RETRY} If it stays: ${DO_NOT_PAY}` },
  "roster-address": { title: "The bridge's address is not that of its roster", todo: DO_NOT_PAY },
  "roster-invalid": { title: "The roster is none", todo: DO_NOT_PAY },
  "evidence-invalid": { title: "An operator's evidence does not verify", todo: DO_NOT_PAY },
  "clock-late": { title: "Your clock may be wrong", todo: "Set your device's clock, then reload." },
  "nft-differs": { title: "The roster NFT says something else than the API", todo: DO_NOT_PAY },
  "nft-missing": { title: "The roster NFT is not where the API says", todo: DO_NOT_PAY },
  "terms-differ": { title: "The answer has other terms than asked for", todo: DO_NOT_PAY },
  "answer-contradicts": { title: "The answer contradicts its receipt", todo: DO_NOT_PAY },
  "group-key-unproven": { title: "The deposit address has a key that nobody verified", todo: DO_NOT_PAY },
  "receipt-address": { title: "The address is not that of the receipt's terms", todo: DO_NOT_PAY },
  "receipt-malformed": { title: "This is no receipt", todo: "Choose the file that was saved when the request was made." },
  "receipt-too-long": { title: "This is no receipt", todo: "Choose the file that was saved when the request was made." },
  "receipt-of-another": { title: "The receipt of another request", todo: "Choose the file that was just saved." },
  "bad-mnemonic": { title: "These are not the words of a wallet", todo: "Check each word against your paper." },
  "no-reclaim-key": { title: "These words do not have the receipt's reclaim key", todo: "Use the words that the request was made with." },
  "slots-full": { title: "Enough requests for these words today", todo: "Wait until tomorrow, or paste a reclaim key of your own and keep the receipt." },
  "bad-fee-rate": { title: "This is no fee rate", todo: "Enter whole satoshis per virtual byte." },
  "needs-deposit-tx": { title: "The deposit's transaction is needed", todo: "zkBTC would be lost without it. Take a peg-out's deposit back with the command line wallet." },
  "other-charms": { title: "The deposit carries charms that would be lost", todo: "Take it back with the command line wallet: grail reclaim." },
  "deposit-too-small": { title: "The fee would take the whole deposit", todo: "Lower the fee rate, or wait for lower fees." },
  "not-the-deposit": { title: "That output is not at the deposit address", todo: "Check the transaction and the receipt." },
  "no-deposit": { title: "No deposit is known", todo: "Give its transaction, or its outpoint and amount." },
  "bad-transaction": { title: "This is no transaction", todo: "Paste the whole transaction in hex." },
  "unspendable-address": { title: "Nobody can spend from this address", todo: "Use an address that your wallet made." },
};

/** Title and what to do for a no; its code and detail are shown beside them. */
export function wordsOf(failed: Failed): Words {
  const known =
    (PROBLEM as Record<string, Words | undefined>)[failed.code] ?? CORE[failed.code];
  return known ?? { title: "That did not work", todo: "The code says more: look for it in the documentation." };
}
