/** A no, by its stable code: of the API, of the core, or of this page. */
export class Failed extends Error {
  constructor(
    readonly code: string,
    readonly detail: string,
    /** When to try again, seconds; only of what passes. */
    readonly retryAfter: number | null = null,
  ) {
    super(`${detail} (${code})`);
  }

  static of(error: unknown): Failed {
    return error instanceof Failed ? error : new Failed("page-failed", String(error));
  }
}
