import { describe, expect, it } from "vitest";

import { amount, amountPlain, blocks, duration, fours, parseAmount, short } from "./format";

const plain = (text: string) => text.replace(/\u202f/g, " ");

describe("amounts", () => {
  it("are read without floating point", () => {
    expect(parseAmount("50 000", "sat")).toBe(50_000n);
    expect(parseAmount("0.1", "BTC")).toBe(10_000_000n);
    expect(parseAmount("0.00000001", "BTC")).toBe(1n);
    expect(parseAmount("20999999.99999999", "BTC")).toBe(2_099_999_999_999_999n);
  });

  it("that could mean two things are refused", () => {
    for (const text of ["", "-1", "1,5", "0.5", "1e8", "0x10", "1.", "２"]) {
      expect(parseAmount(text, "sat"), text).toBeNull();
    }
    for (const text of ["", ".5", "1.", "0,5", "0.000000001", "-1", "1e-3"]) {
      expect(parseAmount(text, "BTC"), text).toBeNull();
    }
  });

  it("above all money are refused", () => {
    expect(parseAmount("2100000000000000", "sat")).toBe(2_100_000_000_000_000n);
    expect(parseAmount("2100000000000001", "sat")).toBeNull();
    expect(parseAmount("21000001", "BTC")).toBeNull();
  });

  it("are shown with their unit and come back", () => {
    expect(plain(amount(1_234_567n, "sat"))).toBe("1 234 567 sat");
    expect(plain(amount(1_234_567, "sat", "zkBTC"))).toBe("1 234 567 sat zkBTC");
    expect(plain(amount(1_234_567n, "BTC"))).toBe("0.01 234 567 BTC");
    expect(plain(amount(-5n, "BTC", "zkBTC"))).toBe("-0.00 000 005 zkBTC");
    for (const sats of [0n, 1n, 10n, 100_000_000n, 123_456_789_012n]) {
      for (const unit of ["sat", "BTC"] as const) {
        expect(parseAmount(amountPlain(sats, unit), unit)).toBe(sats);
      }
    }
  });
});

describe("times and keys", () => {
  it("promise no more than is known", () => {
    expect(duration(0)).toBe("less than a minute");
    expect(duration(3_000)).toBe("about 50 minutes");
    expect(duration(7_200)).toBe("about 2 hours");
    expect(blocks(1)).toBe("1 block (about 10 minutes)");
    expect(blocks(2_016)).toBe("2,016 blocks (about 14 days)");
  });

  it("come in even groups of four", () => {
    expect(fours("bcrt1pabcde")).toEqual(["bcrt", "1pab", "cde"]);
    expect(short("a".repeat(64))).toBe("aaaaaaaaaa…aaaaaa");
    expect(short("abc")).toBe("abc");
  });
});
