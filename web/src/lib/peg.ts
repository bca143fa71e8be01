/** From a wish to an address that can be paid: asked, checked, kept. In this order, and no other. */
import { api, freshKey, type CreatePegIn, type CreatePegOut, type Request } from "./api";
import { shown } from "./bridge.svelte";
import { ask, askWithWords } from "./core";
import { Failed } from "./failed";
import { session } from "./session.svelte";
import { store } from "./store.svelte";

export type PegKind = "peg-in" | "peg-out";

export interface Wish {
  kind: PegKind;
  amountSat: bigint;
  /** Of somebody's own choice; `null` for an address of the words' wallet. */
  to: string | null;
  /** Pasted; `null` for a key of the words. */
  reclaimKey: string | null;
  feeCapSat: bigint;
  /** `null` for the shortest. */
  reclaimDelay: number | null;
}

/** What the core gives for an answer that it has checked. */
export interface Payable {
  id: string;
  deposit_address: string;
  bip21: string | null;
  file: object;
  is_found_by_words: boolean;
  deadline_height: number;
  reclaim_delay: number;
  fee_cap_sat: number;
  attested: number;
}

interface Slot {
  slot: number;
  reclaim_public_key: string;
  nonce: string;
  address: string;
}

/** The body of a wish. */
function bodyOf(wish: Wish, own: Slot | null): CreatePegIn | CreatePegOut {
  const to = wish.to ?? own?.address ?? "";
  const rest = {
    reclaim_public_key: wish.reclaimKey ?? own?.reclaim_public_key ?? "",
    fee_cap_sat: Number(wish.feeCapSat),
    amount_sat: Number(wish.amountSat),
    ...(wish.reclaimDelay === null ? {} : { reclaim_delay: wish.reclaimDelay }),
    ...(own && wish.reclaimKey === null ? { nonce: own.nonce } : {}),
  };
  return wish.kind === "peg-in"
    ? { recipient_address: to, ...rest }
    : { payout_address: to, ...rest };
}

/** Slots of this time that this browser has not used. */
async function freeSlots(height: number): Promise<number[]> {
  const used = new Set(store.usedSlots());
  const slots = await ask<number[]>("slots", { height });
  return slots.filter((slot) => !used.has(slot));
}

/** Asks, has the answer checked, and keeps the receipt. What it gives may be shown once it is saved. */
export async function request(wish: Wish, network: string, height: number): Promise<Payable> {
  const now = await shown();
  // Checked before anything is asked: a bridge that is not believed learns nothing.
  const verdict = await ask<{ is_believed: boolean }>("bridge", now);
  if (!verdict.is_believed) {
    throw new Failed("evidence-invalid", "not every operator's evidence verifies");
  }
  const words = session.words;
  if (wish.reclaimKey === null && words === null) {
    throw new Failed("bad-mnemonic", "no words are in use");
  }
  const slots = wish.reclaimKey === null ? await freeSlots(height) : [null];
  if (slots.length === 0) {
    throw new Failed("slots-full", "these words have made as many requests today as they can find again");
  }
  for (const slot of slots) {
    const own =
      slot === null ? null : await askWithWords<Slot>("slot", { words, network, slot });
    const body = bodyOf(wish, own);
    let answer: Request;
    try {
      answer =
        wish.kind === "peg-in"
          ? await api.createPegIn(body as CreatePegIn, freshKey())
          : await api.createPegOut(body as CreatePegOut, freshKey());
    } catch (error) {
      // Somebody with the same words has used this one.
      if (slot !== null && error instanceof Failed && error.code === "idempotency-conflict") {
        store.useSlot(slot);
        continue;
      }
      throw error;
    }
    if (slot !== null) store.useSlot(slot);
    const payable = await ask<Payable>("check-answer", {
      kind: wish.kind,
      body,
      shown: now,
      answer,
      own,
    });
    store.keep({
      id: payable.id,
      kind: wish.kind,
      network,
      file: JSON.stringify(payable.file, null, 2),
      isSaved: false,
      isAsked: true,
      amountSat: wish.amountSat.toString(),
      at: now.now,
    });
    return payable;
  }
  throw new Failed("slots-full", "every number of today has been used with these words");
}
