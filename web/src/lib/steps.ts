/** The stages of a request, as a line: what is done, what is now, what comes. */
import type { RequestState, RequestStatus } from "./api";

export type Mark = "done" | "now" | "later" | "failed";

export interface Step {
  name: string;
  mark: Mark;
}

const LINE: RequestState[] = ["awaiting-deposit", "unconfirmed", "ready", "settling", "paid"];
const NAMES = ["Deposit seen", "Deposit confirmed", "Taken into a settlement", "Settlement signed and mined", "Paid"];

/** Of a request that is served, five stages; of one that is not, those until it left the line. */
export function steps(status: Pick<RequestStatus, "state" | "deposit" | "settlement">): Step[] {
  const at = LINE.indexOf(status.state);
  if (at >= 0) {
    const isPaid = status.state === "paid";
    return NAMES.map((name, index) => ({
      name,
      mark: isPaid || index < at ? "done" : index === at ? "now" : "later",
    }));
  }
  const seen: Step[] = status.deposit
    ? [{ name: NAMES[0] ?? "", mark: "done" }]
    : [];
  const ends: Partial<Record<RequestState, Step>> = {
    reclaimable: { name: "Not served: yours to take back", mark: "failed" },
    reclaimed: { name: "Taken back", mark: "done" },
    taken: { name: "Spent against the rules", mark: "failed" },
    expired: { name: "No deposit by the deadline", mark: "failed" },
  };
  const end = ends[status.state];
  return end ? [...seen, end] : seen;
}
