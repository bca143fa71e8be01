/** The bridge as this page sees it: what it says of itself, and what the core makes of it. */
import { api, follow, type BridgeStatus, type ParamsAnswer, type RosterAnswer, type RosterRecord } from "./api";
import { ask, useCore } from "./core";
import { Failed } from "./failed";
import { store, type Pin } from "./store.svelte";

/** Answers of the API, as the core takes them. */
export interface Shown {
  params: ParamsAnswer;
  roster: RosterAnswer;
  rosters: RosterRecord[];
  pin: Pin | null;
  now: number;
}

export interface SignerVerdict {
  index: number;
  name: string;
  public_key: string;
  is_attested: boolean;
  pcr0: string | null;
  attested_at: number | null;
  code: string | null;
  reason: string | null;
}

export interface BridgeVerdict {
  network: string;
  params_hash: string;
  genesis: string;
  trust_anchor: string;
  epoch: number;
  threshold: number;
  vault_address: string;
  signers: SignerVerdict[];
  attested: number;
  is_believed: boolean;
  supply_sat: number | null;
}

/** Silence of the event stream after which the rows are asked by themselves. */
const POLL_MS = 30_000;

/** What the API shows now. Fetched anew for each decision: a roster may just have changed. */
export async function shown(): Promise<Shown> {
  const [params, roster] = await Promise.all([api.params(), api.roster()]);
  const rosters = await api.rosters(roster.epoch);
  return { params, roster, rosters, pin: store.pin(), now: Math.floor(Date.now() / 1000) };
}

class Bridge {
  status: BridgeStatus | null = $state(null);
  statusFailed: Failed | null = $state(null);
  verdict: BridgeVerdict | null = $state(null);
  verdictFailed: Failed | null = $state(null);
  params: ParamsAnswer | null = $state.raw(null);
  rosterAnswer: RosterAnswer | null = $state.raw(null);
  isDevelopment = $state(false);
  network: string | null = $state(null);
  isChecking = $state(true);
  isStale = $state(false);

  async start(): Promise<void> {
    try {
      const config = await api.config();
      this.network = config.network;
      this.isDevelopment = config.development;
      useCore(config.development ? "development" : "production");
    } catch (error) {
      this.statusFailed = Failed.of(error);
    }
    follow(null, () => void this.refresh(), (is) => (this.isStale = is));
    setInterval(() => void this.refresh(), POLL_MS);
    await Promise.all([this.refresh(), this.check()]);
  }

  async refresh(): Promise<void> {
    try {
      this.status = await api.status();
      this.statusFailed = null;
      if (this.verdict && this.verdict.epoch !== this.status.epoch) void this.check();
    } catch (error) {
      this.statusFailed = Failed.of(error);
    }
  }

  /** Asks and checks everything anew; pins what is believed first. */
  async check(): Promise<void> {
    this.isChecking = true;
    try {
      const now = await shown();
      this.params = now.params;
      this.rosterAnswer = now.roster;
      this.verdict = await ask<BridgeVerdict>("bridge", now);
      this.verdictFailed = null;
      if (this.verdict.is_believed && now.pin === null) {
        store.setPin({ params: now.params, genesis: this.verdict.genesis });
      }
    } catch (error) {
      this.verdict = null;
      this.verdictFailed = Failed.of(error);
    } finally {
      this.isChecking = false;
    }
  }

  get isBelieved(): boolean {
    return this.verdict?.is_believed === true;
  }
}

export const bridge = new Bridge();
