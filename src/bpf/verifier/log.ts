/**
 * The verifier's log, in the kernel's format. Level 0 keeps nothing but the final message; 1 the last path walked; 2 every
 * path; 4 (may be added) statistics alone (BPF_LOG_LEVEL1, BPF_LOG_LEVEL2, BPF_LOG_STATS).
 */
export const LOG_LEVEL1 = 1;
export const LOG_LEVEL2 = 2;
export const LOG_STATS = 4;

export class Log {
  readonly level: number;
  readonly #limit: number;
  #parts: string[] = [];
  #position = 0;
  /** Text was cut at the front to stay below the limit. */
  truncated = false;

  /** `limit`: characters kept; older text goes first, as in the kernel's rotating log. */
  constructor(level: number, limit: number = 16 * 1024 * 1024) {
    this.level = level;
    this.#limit = limit;
  }

  /** True when instructions and states are written down. */
  get verbose(): boolean {
    return (this.level & (LOG_LEVEL1 | LOG_LEVEL2)) !== 0;
  }
  get everyPath(): boolean {
    return (this.level & LOG_LEVEL2) !== 0;
  }
  get position(): number {
    return this.#position;
  }

  /** Last line written by `line`: the message when nothing else is kept. */
  last = '';

  line(text: string): void {
    this.last = text;
    this.write(`${text}\n`);
  }

  write(text: string): void {
    if (this.level === 0) return;
    this.#parts.push(text);
    this.#position += text.length;
    if (this.#position > 2 * this.#limit) {
      const all = this.text();
      this.truncated = true;
      this.#parts = [all.slice(-this.#limit)];
      this.#position = this.#parts[0].length;
    }
  }

  /** Forgets everything after a position. */
  reset(position: number): void {
    while (this.#position > position) {
      const last = this.#parts.pop()!;
      this.#position -= last.length;
      if (this.#position < position) {
        const kept = last.slice(0, position - this.#position);
        this.#parts.push(kept);
        this.#position += kept.length;
      }
    }
  }

  text(): string {
    if (this.#parts.length > 1) this.#parts = [this.#parts.join('')];
    return this.#parts[0] ?? '';
  }
}
