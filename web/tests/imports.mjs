/** The core imports nothing, and what ships does not know the development root. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { built, files, load } from "./core.mjs";

for (const which of Object.keys(files)) {
  test(`the core imports nothing (${which})`, () => {
    const { module } = load(which);
    assert.deepEqual(WebAssembly.Module.imports(module), []);
    const names = WebAssembly.Module.exports(module)
      .filter(({ kind, name }) => kind === "function" && name.startsWith("grail_"))
      .map(({ name }) => name);
    assert.deepEqual(names.sort(), ["grail_alloc", "grail_call", "grail_free"]);
  });

  test(`the core says which it is (${which})`, () => {
    const { ok } = JSON.parse(load(which).call('{"call":"about"}'));
    assert.equal(ok.is_development, which === "development");
  });

  test(`an answer's memory is wiped when it is given back (${which})`, () => {
    const { exports } = load(which);
    const words = "abandon ".repeat(11) + "about";
    const text = Buffer.from(
      JSON.stringify({ call: "new-words", entropy: "00".repeat(16), network: "regtest" }),
    );
    const address = exports.grail_alloc(text.length);
    new Uint8Array(exports.memory.buffer, address, text.length).set(text);
    const packed = exports.grail_call(address, text.length);
    const [at, length] = [Number(packed >> 32n), Number(packed & 0xffffffffn)];
    const here = () => Buffer.from(new Uint8Array(exports.memory.buffer, at, length)).toString();
    assert.ok(here().includes(words));
    exports.grail_free(at, length);
    assert.ok(!here().includes("abandon abandon"));
  });
}

test("what ships does not know the development root", () => {
  // A point of P-384 in the certificate: BIT STRING, 98 bytes, uncompressed.
  const certificate = readFileSync(
    join(import.meta.dirname, "../../crates/grail-attest/roots/development-root.der"),
  );
  const at = certificate.indexOf(Buffer.from([0x03, 0x62, 0x00, 0x04]));
  assert.ok(at > 0);
  const key = certificate.subarray(at + 3, at + 100);
  const has = (which) => readFileSync(join(built, files[which])).includes(key);
  assert.ok(has("development"), "else this test looks for the wrong bytes");
  assert.ok(!has("production"));
});
