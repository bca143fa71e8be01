/** The same calls as `web/core/tests/verdicts.rs`, in wasm: the same answers, byte for byte. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { load } from "./core.mjs";

const folder = join(import.meta.dirname, "../core/tests");
const read = (name) => JSON.parse(readFileSync(join(folder, name), "utf8"));
const { shared, cases } = read("calls.json");

function filled(value) {
  if (typeof value === "string" && value.startsWith("$")) return filled(shared[value.slice(1)]);
  if (Array.isArray(value)) return value.map(filled);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, it]) => [key, filled(it)]));
}

function callOf({ call, set = [] }) {
  const whole = structuredClone(filled(call));
  for (const [pointer, value] of set) {
    const path = pointer.split("/").slice(1);
    const last = path.pop();
    const place = path.reduce((at, part) => at[part], whole);
    assert.ok(last in place, pointer);
    place[last] = value;
  }
  return JSON.stringify(whole);
}

for (const [which, file] of [
  ["production", "answers.json"],
  ["development", "answers-development.json"],
]) {
  const { call } = load(which);
  const answers = read(file);
  for (const it of cases) {
    test(`${which}: ${it.name}`, () => {
      assert.deepEqual(JSON.parse(call(callOf(it))), answers[it.name]);
    });
  }
}
