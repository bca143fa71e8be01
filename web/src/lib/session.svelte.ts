/** Words while the tab is open, if somebody has typed them or had them made. In no storage. */
class Session {
  words: string | null = $state(null);
  /** They were typed again after they were shown, or typed from paper. */
  areKept = $state(false);

  take(words: string, areKept: boolean): void {
    this.words = words;
    this.areKept = areKept;
  }

  forget(): void {
    this.words = null;
    this.areKept = false;
  }
}

export const session = new Session();
