/**
 * What this browser keeps: receipts, the pinned bridge, used slots, settings. Nothing secret: words
 * are in no storage. Each value is read with care: another version, or somebody, may have written it.
 */
import type { ParamsAnswer } from "./api";
import { Failed } from "./failed";
import type { Unit } from "./format";

export interface Pin {
  params: ParamsAnswer;
  genesis: string;
}

/** A receipt as it is kept: the file that a wallet reads, and what this page knows besides. */
export interface Kept {
  id: string;
  kind: string;
  network: string;
  /** The receipt's file, as text. */
  file: string;
  /** The owner has the file elsewhere, or words that find the deposit without it. */
  isSaved: boolean;
  /** This browser asked for it and checked the answer; a receipt that was imported is anybody's. */
  isAsked: boolean;
  amountSat: string | null;
  at: number;
}

const PREFIX = "grail/";
/** More than anybody makes; what a page could be made to hold has an end. */
const RECEIPTS_MAX = 400;

function read<T>(key: string): T | null {
  try {
    const text = localStorage.getItem(PREFIX + key);
    return text === null ? null : (JSON.parse(text) as T);
  } catch {
    return null;
  }
}

/** Writes and reads back: a browser that keeps nothing says so here, before anything is paid. */
function write(key: string, value: unknown): void {
  const text = JSON.stringify(value);
  try {
    localStorage.setItem(PREFIX + key, text);
    if (localStorage.getItem(PREFIX + key) === text) return;
  } catch {
    // As below.
  }
  throw new Failed("no-storage", "what was to be kept could not be written");
}

function isKept(value: unknown): value is Kept {
  const kept = value as Partial<Kept> | null;
  return typeof kept?.id === "string" && typeof kept.file === "string" && typeof kept.kind === "string";
}

class Store {
  receipts: Kept[] = $state([]);
  unit: Unit = $state("sat");
  theme: "auto" | "light" | "dark" = $state("auto");

  open(): void {
    const kept = read<unknown[]>("receipts");
    this.receipts = Array.isArray(kept) ? kept.filter(isKept) : [];
    this.unit = read<Unit>("unit") === "BTC" ? "BTC" : "sat";
    const theme = read<string>("theme");
    this.theme = theme === "light" || theme === "dark" ? theme : "auto";
    this.applyTheme();
  }

  receipt(id: string): Kept | null {
    return this.receipts.find((kept) => kept.id === id) ?? null;
  }

  keep(kept: Kept): void {
    // What other tabs have written meanwhile is not lost.
    const others = (read<unknown[]>("receipts") ?? []).filter(isKept).filter((it) => it.id !== kept.id);
    if (others.length >= RECEIPTS_MAX) {
      throw new Failed("no-storage", `this browser keeps ${RECEIPTS_MAX} receipts: remove old ones`);
    }
    const all = [kept, ...others];
    write("receipts", all);
    this.receipts = all;
  }

  forget(id: string): void {
    const all = (read<unknown[]>("receipts") ?? []).filter(isKept).filter((it) => it.id !== id);
    write("receipts", all);
    this.receipts = all;
  }

  pin(): Pin | null {
    return read<Pin>("pin");
  }

  setPin(pin: Pin | null): void {
    write("pin", pin);
  }

  usedSlots(): number[] {
    const used = read<unknown[]>("slots");
    return Array.isArray(used) ? used.filter((it): it is number => typeof it === "number") : [];
  }

  useSlot(slot: number): void {
    // Of a day or two: older windows are not offered again.
    write("slots", [...this.usedSlots(), slot].slice(-64));
  }

  setUnit(unit: Unit): void {
    write("unit", unit);
    this.unit = unit;
  }

  setTheme(theme: "auto" | "light" | "dark"): void {
    write("theme", theme);
    this.theme = theme;
    this.applyTheme();
  }

  erase(): void {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(PREFIX)) localStorage.removeItem(key);
    }
    this.open();
  }

  private applyTheme(): void {
    document.documentElement.dataset["theme"] = this.theme;
  }
}

export const store = new Store();
