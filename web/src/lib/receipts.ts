/** Receipts as files, and what the core says of them. */
import { ask } from "./core";
import { Failed } from "./failed";
import type { Kept } from "./store.svelte";

/** Longest file that is looked at. */
const FILE_BYTES_MAX = 64 * 1024;

export interface ReceiptVerdict {
  id: string;
  kind: string;
  network: string;
  deposit_address: string;
  destination: string | null;
  reclaim_public_key: string;
  reclaim_delay: number;
  fee_cap_sat: number;
  slot: number | null;
}

/** The receipt in a text, checked; of the request `id`, where one is expected. */
export function checkReceipt(text: string, id: string | null = null): Promise<ReceiptVerdict> {
  return ask<ReceiptVerdict>("check-receipt", id === null ? { text } : { text, id });
}

/** The text of a file that somebody chose. */
export async function textOf(file: File): Promise<string> {
  if (file.size > FILE_BYTES_MAX) {
    throw new Failed("receipt-too-long", `expected at most ${FILE_BYTES_MAX} bytes, got ${file.size}`);
  }
  return file.text();
}

/** Hands a text to the browser as a file to be saved. */
export function save(name: string, text: string, type = "application/json"): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export function fileName(id: string): string {
  return `grail-receipt-${id.slice(0, 12)}.json`;
}

/** A receipt that was imported, as it is kept here: its owner has the file. */
export function kept(verdict: ReceiptVerdict, file: string, isAsked: boolean): Kept {
  return {
    id: verdict.id,
    kind: verdict.kind,
    network: verdict.network,
    file,
    isSaved: true,
    isAsked,
    amountSat: null,
    at: Math.floor(Date.now() / 1000),
  };
}
