/** The core as a worker runs it, without the worker. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const built = join(import.meta.dirname, "../built");
export const files = { production: "core.wasm", development: "core-development.wasm" };

export function load(which) {
  const module = new WebAssembly.Module(readFileSync(join(built, files[which])));
  const { exports } = new WebAssembly.Instance(module, {});
  const call = (text) => {
    const bytes = Buffer.from(text);
    const address = exports.grail_alloc(bytes.length);
    new Uint8Array(exports.memory.buffer, address, bytes.length).set(bytes);
    const packed = exports.grail_call(address, bytes.length);
    const [at, length] = [Number(packed >> 32n), Number(packed & 0xffffffffn)];
    const answer = Buffer.from(new Uint8Array(exports.memory.buffer, at, length)).toString();
    exports.grail_free(at, length);
    return answer;
  };
  return { module, exports, call };
}
