import { describe, expect, it } from "vitest";

import { routeOf } from "./router.svelte";

const id = "ab".repeat(32);

describe("routes", () => {
  it("name their screens", () => {
    expect(routeOf("/")).toEqual({ screen: "home" });
    expect(routeOf("/peg-in")).toEqual({ screen: "peg-in" });
    expect(routeOf("/peg-in/")).toEqual({ screen: "peg-in" });
    expect(routeOf(`/requests/${id}`)).toEqual({ screen: "request", id });
    expect(routeOf("/reclaim")).toEqual({ screen: "reclaim", id: null });
    expect(routeOf(`/reclaim/${id}`)).toEqual({ screen: "reclaim", id });
  });

  it("take nothing for an id that is none", () => {
    for (const path of ["/requests/1", `/requests/${id.toUpperCase()}`, `/requests/${id}0`]) {
      expect(routeOf(path), path).toEqual({ screen: "not-found", path });
    }
  });

  it("leave everything else alone", () => {
    for (const path of ["/nope", `/peg-in/${id}`, `/requests/${id}/x`, "/v1/status"]) {
      expect(routeOf(path), path).toEqual({ screen: "not-found", path });
    }
  });
});
