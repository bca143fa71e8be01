/** The HTTP API, typed from the committed OpenAPI. Believes nothing: the core checks answers. */
import type { components } from "../../built/schema";
import { Failed } from "./failed";

type Schemas = components["schemas"];
export type Request = Schemas["Request"];
export type RequestStatus = Schemas["RequestStatus"];
export type BridgeStatus = Schemas["BridgeStatus"];
export type ParamsAnswer = Schemas["ParamsAnswer"];
export type RosterAnswer = Schemas["RosterAnswer"];
export type RosterRecord = Schemas["RosterRecord"];
export type Reserves = Schemas["Reserves"];
export type RequestState = Schemas["RequestState"];
export type ReclaimCode = Schemas["ReclaimCode"];
export type ServingState = Schemas["ServingState"];
export type StatusCode = Schemas["StatusCode"];
export type ProblemCode = Schemas["ProblemCode"];
export type SettlementState = Schemas["SettlementState"];
export type HoldingRoster = Schemas["HoldingRoster"];
export type CreatePegIn = Schemas["CreatePegIn"];
export type CreatePegOut = Schemas["CreatePegOut"];

/** What the server says of itself and the page that it serves. */
export interface Config {
  network: string;
  development: boolean;
}

const TIMEOUT_MS = 20_000;
/** More rosters than a bridge has in centuries. */
const ROSTERS_MAX = 4_096;

async function call<T>(path: string, init: RequestInit = {}): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      ...init,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      credentials: "omit",
      redirect: "error",
    });
  } catch {
    throw new Failed("unreachable", `no answer from ${path}`);
  }
  const body: unknown = await answer.json().catch(() => null);
  if (answer.ok && body !== null) return body as T;
  const problem = body as Partial<Schemas["Problem"]> | null;
  throw new Failed(
    problem?.code ?? "unreachable",
    problem?.detail ?? `${path} answered ${answer.status}`,
    problem?.retry_after ?? null,
  );
}

function create<T>(path: string, body: object, key: string): Promise<T> {
  return call<T>(path, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": key },
    body: JSON.stringify(body),
  });
}

export const api = {
  config: () => call<Config>("/config.json"),
  status: () => call<BridgeStatus>("/v1/status"),
  params: () => call<ParamsAnswer>("/v1/params"),
  roster: () => call<RosterAnswer>("/v1/roster"),
  reserves: () => call<Reserves>("/v1/reserves"),
  /** Every roster from the deployment's on. */
  async rosters(newest: number): Promise<RosterRecord[]> {
    if (!Number.isInteger(newest) || newest < 0 || newest >= ROSTERS_MAX) {
      throw new Failed("history-gap", `epoch ${newest} is none that a bridge reaches`);
    }
    const records: RosterRecord[] = [];
    for (let epoch = 0; epoch <= newest; epoch++) {
      records.push(await call<RosterRecord>(`/v1/rosters/${epoch}`));
    }
    return records;
  },
  createPegIn: (body: CreatePegIn, key: string) => create<Request>("/v1/peg-ins", body, key),
  createPegOut: (body: CreatePegOut, key: string) => create<Request>("/v1/peg-outs", body, key),
  /** A request by its name, whichever way it goes. */
  async request(id: string): Promise<RequestStatus> {
    try {
      return await call<RequestStatus>(`/v1/peg-ins/${id}`);
    } catch (error) {
      if (!(error instanceof Failed) || error.code !== "not-found") throw error;
      return call<RequestStatus>(`/v1/peg-outs/${id}`);
    }
  },
};

/** A name for one request: the same name gives the same request. */
export function freshKey(): string {
  return hex(crypto.getRandomValues(new Uint8Array(16)));
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Events of a request, or of the bridge: hints. `heard` asks anew; `lost` is told of silence. A tab
 * that nobody sees has no stream: browsers open six connections to an address in all their tabs.
 */
export function follow(request: string | null, heard: () => void, lost: (is: boolean) => void) {
  let stream: EventSource | null = null;
  const open = () => {
    stream = new EventSource(request ? `/v1/events?request=${request}` : "/v1/events");
    for (const name of ["request", "settlement", "tip", "reset"]) {
      stream.addEventListener(name, heard);
    }
    stream.onopen = () => {
      lost(false);
      heard();
    };
    stream.onerror = () => lost(true);
  };
  const close = () => {
    stream?.close();
    stream = null;
  };
  const seen = () => {
    if (document.hidden) close();
    else if (!stream) open();
  };
  document.addEventListener("visibilitychange", seen);
  seen();
  return () => {
    document.removeEventListener("visibilitychange", seen);
    close();
  };
}
