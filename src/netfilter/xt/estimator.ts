/**
 * A rate estimator: bytes and packets a second as a moving average over intervals (the kernel's gen_estimator). Time is
 * handed in; what was missed is caught up with.
 */
const SCALE_BYTES = 2 ** 5;
const SCALE_PACKETS = 2 ** 10;

export class Estimator {
  users = 0;
  readonly interval: number;
  readonly ewmaLog: number;
  readonly #period: number;
  #bytes = 0;
  #packets = 0;
  #averageBytes = 0;
  #averagePackets = 0;
  #next: number;

  /** `interval`: the period is 2^interval seconds; `ewmaLog`: the weight of a new sample is 2^-ewmaLog. */
  constructor(interval: number, ewmaLog: number, now: number) {
    this.interval = interval;
    this.ewmaLog = ewmaLog;
    this.#period = 1e9 * 2 ** interval;
    this.#next = now + this.#period;
  }

  count(bytes: number, now: number): void {
    this.catchUp(now);
    this.#bytes += bytes;
    this.#packets++;
  }

  /** Ends the intervals that are over by now. */
  catchUp(now: number): void {
    while (now >= this.#next) {
      const seconds = this.#period / 1e9;
      const weight = 2 ** this.ewmaLog;
      const step = (average: number, count: number, scale: number): number =>
        average + Math.floor(((count * scale) / seconds - average) / weight);
      this.#averageBytes = step(this.#averageBytes, this.#bytes, SCALE_BYTES);
      this.#averagePackets = step(this.#averagePackets, this.#packets, SCALE_PACKETS);
      this.#bytes = 0;
      this.#packets = 0;
      this.#next += this.#period;
      // Long silence: nothing is left to forget.
      if (this.#averageBytes <= 0 && this.#averagePackets <= 0 && now > this.#next)
        this.#next += Math.floor((now - this.#next) / this.#period) * this.#period;
    }
  }

  get bps(): number {
    return Math.max(0, Math.floor(this.#averageBytes / SCALE_BYTES));
  }

  get pps(): number {
    return Math.max(0, Math.floor(this.#averagePackets / SCALE_PACKETS));
  }
}
