/**
 * Timers: a hierarchical timing wheel over typed arrays (Varghese and Lauck, 1987). `arm` and `cancel` are O(1) and allocate
 * nothing after the first use of a slot; callbacks are owned by whoever arms, made once, and told an integer argument.
 *
 * Time is cut into ticks of 65.5 µs. Level 0 has a slot for each tick of the present 256, level 1 for each of the present
 * 256 x 256, and so on, five levels, three years. When time enters a slot of a higher level, its timers move down;
 * those of the present tick lie in a small heap, ordered by deadline and then by when they were armed, so that firing
 * order does not depend on ticks: timers that fall due at the same instant fire in the order they were armed.
 *
 *     tick:  | level 4 | level 3 | level 2 | level 1 | level 0 |   8 bits each; a timer lies at the highest level
 *            in which its tick differs from the present one, in a doubly linked list
 */
export type TimerFn = (arg: number) => void;

const TICK_NS = 65_536;
const LEVELS = 5;
const SLOTS = 256;
const LAST_TICK = SLOTS ** LEVELS - 1;
/** Ticks of one slot, by level. */
const SPAN: readonly number[] = [1, 256, 256 ** 2, 256 ** 3, 256 ** 4, 256 ** 5];
// Where a timer is: in a slot (0 and up), nowhere, or in the heap.
const NOWHERE = -1;
const IN_HEAP = -2;

function tickOf(ns: number): number {
  return Math.max(0, Math.min(Math.floor(ns / TICK_NS), LAST_TICK));
}

export class TimerWheel {
  #deadline = new Float64Array(256);
  #sequence = new Float64Array(256);
  #arg = new Float64Array(256);
  #where = new Int32Array(256).fill(NOWHERE);
  /** In the heap: its place there. In a slot: the timer in front, -1 for the first. */
  #previous = new Int32Array(256);
  #following = new Int32Array(256);
  readonly #fn: (TimerFn | undefined)[] = [];
  readonly #first: Int32Array = new Int32Array(LEVELS * SLOTS).fill(-1);
  /** One bit per slot: not empty. */
  readonly #filled: Uint32Array = new Uint32Array((LEVELS * SLOTS) / 32);
  #heap = new Int32Array(64);
  #heapCount = 0;
  #cursor = 0;
  #count = 0;
  #used = 0;
  readonly #free: number[] = [];
  #armed = 0;
  /** Earliest deadline outside the heap; NaN when it must be looked for. */
  #earliest = Number.POSITIVE_INFINITY;

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
    this.#count++;
    if (this.#place(id) && deadlineNs < this.#earliest) this.#earliest = deadlineNs;
    return id;
  }

  /** Stops a timer; false when it is not armed (it fired, or was stopped). */
  cancel(id: number): boolean {
    const where = this.#where[id] ?? NOWHERE;
    if (where === NOWHERE) return false;
    if (where === IN_HEAP) this.#heapRemove(this.#previous[id]);
    else {
      this.#unlink(id, where);
      if (this.#deadline[id] === this.#earliest) this.#earliest = Number.NaN;
    }
    this.#release(id);
    return true;
  }

  /** Deadline of the earliest timer, Infinity for none. */
  next(): number {
    if (this.#heapCount > 0) return this.#deadline[this.#heap[0]];
    if (Number.isNaN(this.#earliest)) this.#earliest = this.#search();
    return this.#earliest;
  }

  /** Fires every timer whose deadline is at or before `nowNs`, in order; timers armed meanwhile included. */
  advance(nowNs: number): void {
    const target = tickOf(nowNs);
    for (;;) {
      while (this.#heapCount > 0 && this.#deadline[this.#heap[0]] <= nowNs) {
        const id = this.#heap[0];
        const fn = this.#fn[id];
        const arg = this.#arg[id];
        this.#heapRemove(0);
        this.#release(id);
        fn?.(arg);
      }
      if (this.#cursor >= target) return;
      this.#moveTo(Math.min(this.#nextStart(), target));
    }
  }

  /** Puts a timer into the heap or into its slot; true: into a slot. */
  #place(id: number): boolean {
    const tick = tickOf(this.#deadline[id]);
    if (tick <= this.#cursor) {
      this.#heapAdd(id);
      return false;
    }
    let level = 0;
    while (Math.floor(tick / SPAN[level + 1]) !== Math.floor(this.#cursor / SPAN[level + 1])) level++;
    const slot = level * SLOTS + (Math.floor(tick / SPAN[level]) % SLOTS);
    const head = this.#first[slot];
    this.#where[id] = slot;
    this.#previous[id] = -1;
    this.#following[id] = head;
    if (head >= 0) this.#previous[head] = id;
    this.#first[slot] = id;
    this.#filled[slot >> 5] |= 1 << (slot & 31);
    return true;
  }

  #unlink(id: number, slot: number): void {
    const before = this.#previous[id];
    const behind = this.#following[id];
    if (before >= 0) this.#following[before] = behind;
    else this.#first[slot] = behind;
    if (behind >= 0) this.#previous[behind] = before;
    if (this.#first[slot] < 0) this.#filled[slot >> 5] &= ~(1 << (slot & 31));
  }

  /** The first slot of a level behind `index` that is not empty, -1 for none. */
  #filledAfter(level: number, index: number): number {
    for (let i = index + 1; i < SLOTS; ) {
      const slot = level * SLOTS + i;
      const bits = this.#filled[slot >> 5] >>> (slot & 31);
      if (bits !== 0) return i + (31 - Math.clz32(bits & -bits));
      i = (i | 31) + 1;
    }
    return -1;
  }

  /** The earliest slot that is not empty: level * 256 + index, or -1. Lower levels come first in time. */
  #nextSlot(): number {
    for (let level = 0; level < LEVELS; level++) {
      const index = this.#filledAfter(level, Math.floor(this.#cursor / SPAN[level]) % SLOTS);
      if (index >= 0) return level * SLOTS + index;
    }
    return -1;
  }

  /** Tick at which that slot begins, Infinity for none. */
  #nextStart(): number {
    const slot = this.#nextSlot();
    if (slot < 0) return Number.POSITIVE_INFINITY;
    const level = slot >> 8;
    return Math.floor(this.#cursor / SPAN[level + 1]) * SPAN[level + 1] + (slot & 255) * SPAN[level];
  }

  #search(): number {
    const slot = this.#nextSlot();
    let earliest = Number.POSITIVE_INFINITY;
    if (slot >= 0)
      for (let id = this.#first[slot]; id >= 0; id = this.#following[id])
        earliest = Math.min(earliest, this.#deadline[id]);
    return earliest;
  }

  /** Moves the present tick; what lies in the slots it enters moves down, or into the heap. No filled slot may be passed. */
  #moveTo(tick: number): void {
    this.#cursor = tick;
    for (let level = LEVELS - 1; level >= 0; level--) {
      const slot = level * SLOTS + (Math.floor(tick / SPAN[level]) % SLOTS);
      let id = this.#first[slot];
      if (id < 0) continue;
      this.#first[slot] = -1;
      this.#filled[slot >> 5] &= ~(1 << (slot & 31));
      this.#earliest = Number.NaN;
      while (id >= 0) {
        const behind = this.#following[id];
        this.#place(id);
        id = behind;
      }
    }
  }

  #release(id: number): void {
    this.#where[id] = NOWHERE;
    this.#fn[id] = undefined;
    this.#free.push(id);
    this.#count--;
  }

  #grow(): number {
    if (this.#used === this.#deadline.length) {
      const size = this.#used * 2;
      const floats = (old: Float64Array): Float64Array<ArrayBuffer> => {
        const out = new Float64Array(size);
        out.set(old);
        return out;
      };
      const ints = (old: Int32Array): Int32Array<ArrayBuffer> => {
        const out = new Int32Array(size).fill(NOWHERE);
        out.set(old);
        return out;
      };
      this.#deadline = floats(this.#deadline);
      this.#sequence = floats(this.#sequence);
      this.#arg = floats(this.#arg);
      this.#where = ints(this.#where);
      this.#previous = ints(this.#previous);
      this.#following = ints(this.#following);
    }
    return this.#used++;
  }

  #before(a: number, b: number): boolean {
    const d = this.#deadline[a] - this.#deadline[b];
    return d !== 0 ? d < 0 : this.#sequence[a] < this.#sequence[b];
  }

  #set(at: number, id: number): void {
    this.#heap[at] = id;
    this.#previous[id] = at;
  }

  #heapAdd(id: number): void {
    if (this.#heapCount === this.#heap.length) {
      const wider = new Int32Array(this.#heap.length * 2);
      wider.set(this.#heap);
      this.#heap = wider;
    }
    this.#where[id] = IN_HEAP;
    this.#set(this.#heapCount, id);
    this.#up(this.#heapCount++);
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
      if (child >= this.#heapCount) break;
      if (child + 1 < this.#heapCount && this.#before(this.#heap[child + 1], this.#heap[child])) child++;
      if (!this.#before(this.#heap[child], id)) break;
      this.#set(at, this.#heap[child]);
      at = child;
    }
    this.#set(at, id);
  }

  #heapRemove(at: number): void {
    const last = this.#heap[--this.#heapCount];
    if (at === this.#heapCount) return;
    this.#set(at, last);
    this.#down(at);
    this.#up(this.#previous[last]);
  }
}
