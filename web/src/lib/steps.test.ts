import { describe, expect, it } from "vitest";

import type { RequestState } from "./api";
import { steps } from "./steps";

const ALL: RequestState[] = [
  "awaiting-deposit",
  "unconfirmed",
  "ready",
  "settling",
  "paid",
  "reclaimable",
  "reclaimed",
  "taken",
  "expired",
];

describe("stages", () => {
  const of = (state: RequestState) =>
    steps({ state, deposit: null, settlement: null }).map(({ mark }) => mark);

  it("go on one at a time", () => {
    expect(of("awaiting-deposit")).toEqual(["now", "later", "later", "later", "later"]);
    expect(of("settling")).toEqual(["done", "done", "done", "now", "later"]);
    expect(of("paid")).toEqual(["done", "done", "done", "done", "done"]);
  });

  it("exist for every state, and only paid is all done", () => {
    for (const state of ALL) {
      const marks = of(state);
      expect(marks.length, state).toBeGreaterThan(0);
      expect(marks.length === 5 && marks.every((mark) => mark === "done"), state).toBe(state === "paid");
    }
  });
});
