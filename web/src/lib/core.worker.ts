/** Runs the core. One call at a time; knows nothing but what it is handed. */

interface Exports {
  memory: WebAssembly.Memory;
  grail_alloc(length: number): number;
  grail_call(address: number, length: number): bigint;
  grail_free(address: number, length: number): void;
}

let core: Exports | null = null;

function call(text: string): string {
  if (!core) throw new Error("no core");
  const bytes = new TextEncoder().encode(text);
  const address = core.grail_alloc(bytes.length);
  if (address === 0) throw new Error("out of memory");
  new Uint8Array(core.memory.buffer, address, bytes.length).set(bytes);
  bytes.fill(0);
  const packed = core.grail_call(address, bytes.length);
  const [at, length] = [Number(packed >> 32n), Number(packed & 0xffffffffn)];
  if (at === 0) throw new Error("out of memory");
  const answer = new TextDecoder().decode(new Uint8Array(core.memory.buffer, at, length));
  core.grail_free(at, length);
  return answer;
}

onmessage = async (event: MessageEvent<WebAssembly.Module | { id: number; text: string }>) => {
  if (event.data instanceof WebAssembly.Module) {
    // No imports: there is nothing here that the core could reach.
    const instance = await WebAssembly.instantiate(event.data, {});
    core = instance.exports as unknown as Exports;
    postMessage("ready");
    return;
  }
  const { id, text } = event.data;
  try {
    postMessage({ id, answer: call(text) });
  } catch (error) {
    // A trap: the instance is not used again.
    core = null;
    postMessage({ id, trap: String(error) });
  }
};
