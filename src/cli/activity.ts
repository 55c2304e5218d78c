/** What is being done, on standard error, when a terminal waits for more than two seconds. */
export class Activity {
  readonly #start: number = Date.now();
  #what = '';
  #last = 0;
  #shown = false;

  get seconds(): number {
    return (Date.now() - this.#start) / 1000;
  }

  /** Something new begins. */
  now(what: string): void {
    this.#what = what;
    this.beat();
  }

  /** It goes on; `nodes` of diagrams so far. */
  beat(nodes?: number): void {
    const now = Date.now();
    if (!process.stderr.isTTY || now - this.#start < 2000 || now - this.#last < 200) return;
    this.#last = now;
    this.#shown = true;
    const size = nodes === undefined ? '' : ` (${nodes} nodes)`;
    process.stderr.write(`\r\u001b[K${this.#what}${size}...`);
  }

  done(): void {
    if (this.#shown) process.stderr.write('\r\u001b[K');
  }
}
