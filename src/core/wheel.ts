/**
 * Timers. `arm` costs no allocation after the first use of a slot; callbacks are owned by whoever arms, made once, and
 * told an integer argument (an index into the owner's tables).
 *
 * A binary heap over typed arrays ordered by (deadline, sequence): timers that fall due at the same instant fire in the
 * order they were armed, so runs are deterministic. (Replaced by a hierarchical wheel when timers per second matter.)
 */
export type TimerFn = (arg: number) => void;

export class TimerWheel {
  #deadline = new Float64Array(256);
  #sequence = new Float64Array(256);
  #arg = new Float64Array(256);
  #place = new Int32Array(256).fill(-1);
  readonly #fn: (TimerFn | undefined)[] = [];
  #heap = new Int32Array(256);
  #count = 0;
  #used = 0;
  readonly #free: number[] = [];
  #armed = 0;

  /** Timers armed now. */
  get size(): number {
    return this.#count;
  }

  /** Fires `fn(arg)` when time reaches `deadlineNs`. Returns the timer's id, for `cancel`. */
  arm(deadlineNs: number, fn: TimerFn, arg = 0): number {
    const id = this.#free.pop() ?? this.#grow();
    this.#deadline[id] = deadlineNs;
    this.#sequence[id] = this.#armed++;
    this.#arg[id] = arg;
    this.#fn[id] = fn;
    this.#place[id] = this.#count;
    this.#heap[this.#count] = id;
    this.#up(this.#count++);
    return id;
  }

  /** Stops a timer; false when it is not armed (it fired, or was stopped). */
  cancel(id: number): boolean {
    const at = this.#place[id] ?? -1;
    if (at < 0) return false;
    this.#remove(at);
    this.#release(id);
    return true;
  }

  /** Deadline of the earliest timer, Infinity for none. */
  next(): number {
    return this.#count === 0 ? Number.POSITIVE_INFINITY : this.#deadline[this.#heap[0]];
  }

  /** Fires every timer whose deadline is at or before `nowNs`, in order; timers armed meanwhile included. */
  advance(nowNs: number): void {
    while (this.#count > 0 && this.#deadline[this.#heap[0]] <= nowNs) {
      const id = this.#heap[0];
      const fn = this.#fn[id];
      const arg = this.#arg[id];
      this.#remove(0);
      this.#release(id);
      fn?.(arg);
    }
  }

  #release(id: number): void {
    this.#place[id] = -1;
    this.#fn[id] = undefined;
    this.#free.push(id);
  }

  #grow(): number {
    if (this.#used === this.#deadline.length) {
      const size = this.#used * 2;
      const wider = (old: Float64Array): Float64Array<ArrayBuffer> => {
        const out = new Float64Array(size);
        out.set(old);
        return out;
      };
      this.#deadline = wider(this.#deadline);
      this.#sequence = wider(this.#sequence);
      this.#arg = wider(this.#arg);
      const place = new Int32Array(size).fill(-1);
      place.set(this.#place);
      this.#place = place;
      const heap = new Int32Array(size);
      heap.set(this.#heap);
      this.#heap = heap;
    }
    return this.#used++;
  }

  #before(a: number, b: number): boolean {
    const d = this.#deadline[a] - this.#deadline[b];
    return d !== 0 ? d < 0 : this.#sequence[a] < this.#sequence[b];
  }

  #set(at: number, id: number): void {
    this.#heap[at] = id;
    this.#place[id] = at;
  }

  #up(at: number): void {
    const id = this.#heap[at];
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(id, this.#heap[parent])) break;
      this.#set(at, this.#heap[parent]);
      at = parent;
    }
    this.#set(at, id);
  }

  #down(at: number): void {
    const id = this.#heap[at];
    for (;;) {
      let child = at * 2 + 1;
      if (child >= this.#count) break;
      if (child + 1 < this.#count && this.#before(this.#heap[child + 1], this.#heap[child])) child++;
      if (!this.#before(this.#heap[child], id)) break;
      this.#set(at, this.#heap[child]);
      at = child;
    }
    this.#set(at, id);
  }

  #remove(at: number): void {
    const last = this.#heap[--this.#count];
    if (at === this.#count) return;
    this.#set(at, last);
    this.#down(at);
    this.#up(this.#place[last]);
  }
}
