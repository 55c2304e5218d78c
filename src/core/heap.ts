/**
 * An allocator over a region of the packet memory: map values, tables, ring buffers, program stacks. Two-level segregated
 * fit (M. Masmano et al., "TLSF", ECRTS 2004): free blocks in lists by size class, two bitmaps to find a list, neighbours
 * that are free are joined at once, so that every call takes a bounded time.
 *
 *     block:  | size, bit 0: in use | size of the block before | payload: a multiple of 8 bytes ... |
 *
 * Behind the last block lies the `top`, which has never been used or was given back; nothing is written there, so that
 * pages that nobody asked for stay untouched. Payloads are zeroed when handed out.
 */

const HEADER = 8;
const MIN_BLOCK = 24;
const USED = 1;
/** Size classes to a power of two. */
const STEPS = 16;
const STEP_BITS = 4;
/** Free blocks of the exact class looked at when all larger classes are empty. */
const SCAN = 64;

/** Size class of a block of `units` times eight bytes. */
function classOf(units: number): number {
  if (units < STEPS) return units;
  const power = 31 - Math.clz32(units);
  return (power - STEP_BITS + 1) * STEPS + ((units >>> (power - STEP_BITS)) & (STEPS - 1));
}

/** The smallest class whose blocks all have `units` times eight bytes. */
function classAbove(units: number): number {
  if (units < STEPS) return units;
  return classOf(units + (1 << (31 - Math.clz32(units) - STEP_BITS)) - 1);
}

/** Memory by the byte, inside `[start, end)` of a buffer. */
export class Heap {
  readonly #words: Uint32Array;
  readonly #u8: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  /** First block of each class's free list; 0: none. */
  readonly #lists: Uint32Array = new Uint32Array(30 * STEPS);
  /** Per group of sixteen classes, which lists have a block. */
  readonly #groups: Uint16Array = new Uint16Array(30);
  #groupMap = 0;
  #top: number;
  /** Size of the block just below the top; 0: none. */
  #below = 0;
  /** Bytes from here on have never been written. */
  #fresh: number;
  #used = 0;

  constructor(buffer: ArrayBufferLike, start: number, end: number) {
    this.#words = new Uint32Array(buffer);
    this.#u8 = new Uint8Array(buffer);
    this.#start = Math.max(8, (start + 7) & ~7);
    this.#end = end & ~7;
    this.#top = this.#start;
    this.#fresh = this.#start;
  }

  /** Bytes handed out, with their headers. */
  get used(): number {
    return this.#used;
  }

  /** Bytes of the region. */
  get size(): number {
    return Math.max(0, this.#end - this.#start);
  }

  /** `bytes` zeroed bytes at an address that `align` (a power of two) divides; 0 when there is no room. */
  alloc(bytes: number, align = 8): number {
    if (!(bytes >= 0 && bytes <= this.size)) return 0;
    const size = Math.max(MIN_BLOCK, HEADER + ((bytes + 7) & ~7));
    const slack = align > 8 ? align + MIN_BLOCK : 0;
    let block = this.#take(size + slack);
    if (block === 0) {
      block = this.#top;
      if (size + slack > this.#end - block) return 0;
      this.#top = block + size + slack;
      this.#set(block, size + slack, USED);
      this.#words[(block >>> 2) + 1] = this.#below;
      this.#below = size + slack;
    }
    if (slack > 0) block = this.#alignUp(block, align);
    this.#trim(block, size);
    const length = this.#words[block >>> 2] & ~USED;
    this.#used += length;
    const at = block + HEADER;
    const end = block + length;
    if (at < this.#fresh) this.#u8.fill(0, at, Math.min(end, this.#fresh));
    if (end > this.#fresh) this.#fresh = end;
    return at;
  }

  /** Gives back what `alloc` returned; 0 and what is free already are ignored. */
  free(at: number): void {
    const block = at - HEADER;
    if (!(block >= this.#start && block < this.#top) || (this.#words[block >>> 2] & USED) === 0) return;
    this.#used -= this.#words[block >>> 2] & ~USED;
    this.#release(block);
  }

  /** Bytes that may be used at `at`: those asked for, rounded up. */
  sizeOf(at: number): number {
    return (this.#words[(at - HEADER) >>> 2] & ~USED) - HEADER;
  }

  #set(block: number, size: number, flag: number): void {
    this.#words[block >>> 2] = size | flag;
  }

  /** Tells the block behind `[block, block + size)` how long that is. */
  #tellNext(block: number, size: number): void {
    if (block + size === this.#top) this.#below = size;
    else this.#words[((block + size) >>> 2) + 1] = size;
  }

  /** Moves the start of a used block up to the alignment; what is in front becomes free. */
  #alignUp(block: number, align: number): number {
    let at = Math.ceil((block + HEADER) / align) * align;
    if (at - HEADER === block) return block;
    while (at - HEADER - block < MIN_BLOCK) at += align;
    const moved = at - HEADER;
    const size = this.#words[block >>> 2] & ~USED;
    this.#set(moved, size - (moved - block), USED);
    this.#tellNext(moved, size - (moved - block));
    this.#set(block, moved - block, USED);
    this.#words[(moved >>> 2) + 1] = moved - block;
    if (moved + 8 > this.#fresh) this.#fresh = moved + 8;
    this.#release(block);
    return moved;
  }

  /** Cuts a used block down to `size` where the rest can be a block. */
  #trim(block: number, size: number): void {
    const whole = this.#words[block >>> 2] & ~USED;
    if (whole - size < MIN_BLOCK) return;
    this.#set(block, size, USED);
    this.#set(block + size, whole - size, USED);
    this.#words[((block + size) >>> 2) + 1] = size;
    if (block + size + HEADER > this.#fresh) this.#fresh = block + size + HEADER;
    this.#tellNext(block + size, whole - size);
    this.#release(block + size);
  }

  /** Makes a used block free: joins it with free neighbours, or gives it to the top. */
  #release(block: number): void {
    const words = this.#words;
    let size = words[block >>> 2] & ~USED;
    this.#set(block, size, 0);
    const before = words[(block >>> 2) + 1];
    if (before !== 0 && (words[(block - before) >>> 2] & USED) === 0) {
      block -= before;
      this.#unlink(block);
      size += before;
    }
    const next = block + size;
    if (next !== this.#top && (words[next >>> 2] & USED) === 0) {
      this.#unlink(next);
      size += words[next >>> 2];
    }
    if (block + size === this.#top) {
      this.#top = block;
      this.#below = words[(block >>> 2) + 1];
      // Its header and links have been written: not fresh any more.
      if (block + MIN_BLOCK > this.#fresh) this.#fresh = Math.min(this.#end, block + MIN_BLOCK);
      return;
    }
    this.#set(block, size, 0);
    this.#tellNext(block, size);
    this.#link(block, size);
  }

  #link(block: number, size: number): void {
    const list = classOf(size >>> 3);
    const first = this.#lists[list];
    const w = block >>> 2;
    this.#words[w + 2] = first;
    this.#words[w + 3] = 0;
    if (first !== 0) this.#words[(first >>> 2) + 3] = block;
    this.#lists[list] = block;
    this.#groups[list >>> STEP_BITS] |= 1 << (list & (STEPS - 1));
    this.#groupMap |= 1 << (list >>> STEP_BITS);
    if (block + MIN_BLOCK > this.#fresh) this.#fresh = block + MIN_BLOCK;
  }

  #unlink(block: number): void {
    const w = block >>> 2;
    const next = this.#words[w + 2];
    const before = this.#words[w + 3];
    if (next !== 0) this.#words[(next >>> 2) + 3] = before;
    if (before !== 0) {
      this.#words[(before >>> 2) + 2] = next;
      return;
    }
    const list = classOf(this.#words[w] >>> 3);
    this.#lists[list] = next;
    if (next !== 0) return;
    this.#groups[list >>> STEP_BITS] &= ~(1 << (list & (STEPS - 1)));
    if (this.#groups[list >>> STEP_BITS] === 0) this.#groupMap &= ~(1 << (list >>> STEP_BITS));
  }

  /** A free block of at least `size` bytes, taken from its list and marked as used; 0: none. */
  #take(size: number): number {
    const list = classAbove(size >>> 3);
    let group = list >>> STEP_BITS;
    let bits = group < this.#groups.length ? this.#groups[group] & (-1 << (list & (STEPS - 1))) : 0;
    if (bits === 0) {
      const groups = group < 31 ? this.#groupMap & (-1 << (group + 1)) : 0;
      if (groups === 0) return this.#takeExact(size);
      group = 31 - Math.clz32(groups & -groups);
      bits = this.#groups[group];
    }
    const block = this.#lists[group * STEPS + 31 - Math.clz32(bits & -bits)];
    this.#unlink(block);
    this.#words[block >>> 2] |= USED;
    return block;
  }

  /** The last resort before the top: a block of the size's own class may be long enough. */
  #takeExact(size: number): number {
    let block = this.#lists[classOf(size >>> 3)];
    for (let n = 0; block !== 0 && n < SCAN; n++) {
      if (this.#words[block >>> 2] >= size) {
        this.#unlink(block);
        this.#words[block >>> 2] |= USED;
        return block;
      }
      block = this.#words[(block >>> 2) + 2];
    }
    return 0;
  }
}
