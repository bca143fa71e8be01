/**
 * The core: every verdict of this page comes from here. Public calls share a worker; a call that
 * holds words gets one of its own, which is ended with its answer.
 */
import development from "../../built/core-development.wasm?url";
import production from "../../built/core.wasm?url";
import workerUrl from "./core.worker.ts?worker&url";

import { Failed } from "./failed";

/** A call that can go wrong for this long has hung. A hundred signers' evidence takes seconds. */
const CALL_TIMEOUT_MS = 120_000;

let whichCore: "production" | "development" = "production";
let module: Promise<WebAssembly.Module> | null = null;
let shared: Promise<Running> | null = null;

/** Before the first call: a development build's backend has a core with the development root. */
export function useCore(which: "production" | "development"): void {
  whichCore = which;
}

/** Answers a call in the shared worker. */
export async function ask<T>(name: string, rest: object = {}): Promise<T> {
  shared ??= start();
  try {
    return await (await shared).call<T>(name, rest);
  } catch (error) {
    if (!(error instanceof Failed) || error.code === "core-trapped") shared = null;
    throw error;
  }
}

/** Answers a call that holds words, in a worker that is ended afterwards. */
export async function askWithWords<T>(name: string, rest: object): Promise<T> {
  const running = await start();
  try {
    return await running.call<T>(name, rest);
  } finally {
    running.end();
  }
}

async function compiled(): Promise<WebAssembly.Module> {
  const url = whichCore === "development" ? development : production;
  const answer = await fetch(url);
  if (!answer.ok) {
    throw new Failed("core-missing", `${url}: ${answer.status}; this deployment is incomplete`);
  }
  return WebAssembly.compile(await answer.arrayBuffer());
}

// Browsers that enforce Trusted Types take no other address for a worker.
interface Policies {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): {
    createScriptURL(url: string): string;
  };
}
const policy = (globalThis as { trustedTypes?: Policies }).trustedTypes?.createPolicy(
  "grail-worker",
  {
    createScriptURL(url) {
      if (url !== workerUrl) throw new TypeError("not the core's worker");
      return url;
    },
  },
);

async function start(): Promise<Running> {
  module ??= compiled().catch((error: unknown) => {
    module = null;
    throw error instanceof Failed ? error : new Failed("core-missing", String(error));
  });
  const running = new Running(await module);
  await running.ready;
  return running;
}

type Told = "ready" | { id: number; answer: string } | { id: number; trap: string };

class Running {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, (told: Told | Failed) => void>();
  private next = 0;
  readonly ready: Promise<void>;

  constructor(module: WebAssembly.Module) {
    this.worker = new Worker((policy?.createScriptURL(workerUrl) ?? workerUrl) as string);
    this.ready = new Promise((resolve, reject) => {
      this.worker.onmessage = (event: MessageEvent<Told>) => {
        if (event.data === "ready") return resolve();
        this.waiting.get(event.data.id)?.(event.data);
        this.waiting.delete(event.data.id);
      };
      this.worker.onerror = (event) => {
        const failed = new Failed("core-trapped", event.message || "the worker failed");
        reject(failed);
        for (const tell of this.waiting.values()) tell(failed);
        this.waiting.clear();
      };
    });
    this.worker.postMessage(module);
  }

  async call<T>(name: string, rest: object): Promise<T> {
    const id = this.next++;
    const told = await new Promise<Told | Failed>((resolve) => {
      const timer = setTimeout(
        () => resolve(new Failed("core-trapped", "no answer")),
        CALL_TIMEOUT_MS,
      );
      this.waiting.set(id, (told) => {
        clearTimeout(timer);
        resolve(told);
      });
      this.worker.postMessage({ id, text: JSON.stringify({ ...rest, call: name }) });
    });
    if (told instanceof Failed) throw told;
    if (told === "ready" || "trap" in told) {
      this.end();
      throw new Failed("core-trapped", told === "ready" ? "out of turn" : told.trap);
    }
    const answer = JSON.parse(told.answer) as
      | { ok: T }
      | { error: { code: string; detail: string } };
    if ("error" in answer) throw new Failed(answer.error.code, answer.error.detail);
    return answer.ok;
  }

  end(): void {
    this.worker.terminate();
  }
}
