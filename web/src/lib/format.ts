/** Amounts, times and keys as people read and type them. Amounts are `bigint`: satoshis, whole. */

export type Unit = "sat" | "BTC";

const SATS_PER_BTC = 100_000_000n;
const SATS_MAX = 21_000_000n * SATS_PER_BTC;

/** `50000` and `50 000` as satoshis, `0.0005` as BTC. `null` for what is no such amount. */
export function parseAmount(text: string, unit: Unit): bigint | null {
  const plain = text.trim().replace(/[\s_\u00a0\u202f]/g, "");
  const match = (unit === "sat" ? /^(\d{1,16})()$/ : /^(\d{1,8})(?:\.(\d{1,8}))?$/).exec(plain);
  if (!match) return null;
  const whole = BigInt(match[1] ?? "");
  const sats =
    unit === "sat" ? whole : whole * SATS_PER_BTC + BigInt((match[2] ?? "").padEnd(8, "0"));
  return sats <= SATS_MAX ? sats : null;
}

/** The number alone, in groups: `50 000` or `0.000 500 00`. */
export function amountDigits(sats: bigint, unit: Unit): string {
  const sign = sats < 0n ? "-" : "";
  const value = sats < 0n ? -sats : sats;
  if (unit === "sat") return sign + grouped(value);
  const fraction = (value % SATS_PER_BTC).toString().padStart(8, "0");
  return `${sign}${grouped(value / SATS_PER_BTC)}.${fraction.slice(0, 2)}\u202f${fraction.slice(2, 5)}\u202f${fraction.slice(5)}`;
}

/** What goes into a field: no groups. */
export function amountPlain(sats: bigint, unit: Unit): string {
  if (unit === "sat") return sats.toString();
  const fraction = (sats % SATS_PER_BTC).toString().padStart(8, "0").replace(/0+$/, "");
  const whole = (sats / SATS_PER_BTC).toString();
  return fraction === "" ? whole : `${whole}.${fraction}`;
}

/** With its unit. `coin` is `BTC` or `zkBTC`; satoshis of zkBTC are named so. */
export function amount(sats: bigint | number, unit: Unit, coin: "BTC" | "zkBTC" = "BTC"): string {
  const digits = amountDigits(BigInt(sats), unit);
  if (unit === "BTC") return `${digits} ${coin}`;
  return coin === "BTC" ? `${digits} sat` : `${digits} sat zkBTC`;
}

function grouped(value: bigint): string {
  return value.toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** About how long, in words that promise no more than is known. */
export function duration(seconds: number): string {
  if (seconds < 60) return "less than a minute";
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return minutes === 1 ? "about a minute" : `about ${minutes} minutes`;
  const hours = Math.round(seconds / 3600);
  if (hours < 36) return `about ${hours} hours`;
  const days = Math.round(seconds / 86400);
  return `about ${days} days`;
}

/** Blocks, and how long they take: ten minutes each, on average. */
export function blocks(count: number): string {
  const word = count === 1 ? "1 block" : `${count.toLocaleString("en")} blocks`;
  return `${word} (${duration(count * 600)})`;
}

/** A time of the API. */
export function time(seconds: number): string {
  return new Date(seconds * 1000).toLocaleString(undefined, {
    dateStyle: "medium",
    timeStyle: "short",
  });
}

/** In even groups of four, so that all of it is compared and not its ends. */
export function fours(text: string): string[] {
  return text.match(/.{1,4}/g) ?? [];
}

/** A key or a txid in a list; the whole one stands in its title. */
export function short(text: string): string {
  return text.length <= 20 ? text : `${text.slice(0, 10)}…${text.slice(-6)}`;
}
