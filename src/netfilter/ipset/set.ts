/** A bitmap or hash set of ipset: elements added, deleted and tested by users and by packets. */
import { KernelError } from '../../core/errno.ts';
import type { World } from '../../core/world.ts';
import { IPSET_ERR_BITMAP_RANGE, IPSET_ERR_EXIST, IPSET_ERR_HASH_FULL } from '../../wire/uapi/ipset.ts';
import { dimensionLength, keyLength, type SetType } from '../../wire/uapi/ipset-types.ts';
import { IPSET_FLAG_EXIST, IPSET_FLAG_RETURN_NOMATCH, IPSET_FLAG_SKIP_COUNTER_UPDATE } from '../../wire/xt/set.ts';
import type { PktInfo } from '../nft/pkt.ts';
import type { IpsetElement, IpsetOptions, IpsetSet } from '../xt/ipset.ts';
import { Elements, maskBits } from './elements.ts';
import { Entry, type Extensions } from './entry.ts';
import { type IpsetHost, keyFromPacket } from './from-packet.ts';

/** How a set was created. */
export type SetOptions = {
  /** 2, 10 or 0. */
  readonly family: number;
  readonly revision: number;
  /** Seconds; undefined for a set whose elements do not end, 0 for elements that last unless they say otherwise. */
  readonly timeout: number | undefined;
  readonly counters: boolean;
  readonly comment: boolean;
  readonly skbinfo: boolean;
  readonly forceadd: boolean;
  /** Hash sets. */
  readonly hashsize: number;
  readonly maxelem: number;
  readonly bucketsize: number;
  readonly initval: number;
  /** Prefix length that addresses are cut to; undefined for none. */
  readonly netmask: number | undefined;
  /** Or the mask itself. */
  readonly bitmask: Uint8Array | undefined;
  readonly markmask: number;
  /** First and last element of a bitmap, as keys. */
  readonly range: { readonly from: Uint8Array; readonly to: Uint8Array } | undefined;
  /** Most members of a list. */
  readonly size: number;
};

/** What list sets, bitmaps and hashes have in common. */
export type AnySet = IpsetSet & {
  name: string;
  index: number;
  readonly type: SetType;
  readonly options: SetOptions;
  readonly count: number;
  /** Bytes of memory, about. */
  readonly memory: number;
  flush(): void;
};

/** Bytes of an element beside its key. */
const ENTRY_BYTES = 96;

export class IpSet implements AnySet {
  name: string;
  index: number;
  references = 0;
  readonly type: SetType;
  readonly options: SetOptions;
  readonly elements: Elements;
  readonly #world: World;
  readonly #host: IpsetHost;
  readonly #key: Uint8Array;

  constructor(name: string, index: number, type: SetType, options: SetOptions, world: World, host: IpsetHost) {
    this.name = name;
    this.index = index;
    this.type = type;
    this.options = options;
    this.#world = world;
    this.#host = host;
    this.elements = new Elements(type, options.family);
    this.#key = new Uint8Array(keyLength(type, options.family));
  }

  get count(): number {
    this.#expire();
    return this.elements.size;
  }

  get memory(): number {
    return 200 + this.elements.size * (this.#key.length + ENTRY_BYTES);
  }

  /** Elements in the order of listings: bitmaps by number, hashes as they came. */
  *entries(): Iterable<Entry> {
    this.#expire();
    if (this.type.method === 'hash') yield* this.elements;
    else yield* [...this.elements].sort((a, b) => compareBytes(a.key, b.key));
  }

  #expire(): void {
    if (this.options.timeout === undefined) return;
    const { now } = this.#world;
    for (const entry of [...this.elements]) if (entry.expires <= now) this.elements.remove(entry);
  }

  flush(): void {
    this.elements.clear();
  }

  /** Cuts the addresses of a key to the set's mask. */
  normalise(key: Uint8Array): void {
    const { netmask, bitmask, family } = this.options;
    if (netmask === undefined && bitmask === undefined) return;
    let at = 0;
    for (const dimension of this.type.dimensions) {
      const length = dimensionLength(dimension, family);
      if (dimension === 'ip' || dimension === 'net') {
        const size = dimension === 'net' ? length - 1 : length;
        if (netmask !== undefined) maskBits(key, at, size, netmask);
        else if (bitmask !== undefined) for (let i = 0; i < size; i++) key[at + i] &= bitmask[i];
      }
      at += length;
    }
  }

  #inRange(key: Uint8Array): boolean {
    const { range } = this.options;
    if (range === undefined) return true;
    const id = range.from.length;
    return compareBytes(key.subarray(0, id), range.from) >= 0 && compareBytes(key.subarray(0, id), range.to) <= 0;
  }

  /** Adds an element with this key, which is copied. Throws KernelError. */
  put(key: Uint8Array, x: Extensions, exist: boolean): void {
    this.normalise(key);
    if (!this.#inRange(key)) throw new KernelError(IPSET_ERR_BITMAP_RANGE);
    const { now } = this.#world;
    const { timeout, maxelem, forceadd } = this.options;
    const old = this.#find(key);
    const entry = new Entry(Uint8Array.from(key));
    if (old !== undefined && old.expires > now) {
      if (!exist) throw new KernelError(IPSET_ERR_EXIST);
      this.elements.remove(old);
      entry.packetCount = old.packetCount;
      entry.byteCount = old.byteCount;
    } else if (old !== undefined) this.elements.remove(old);
    else if (this.type.method === 'hash' && this.elements.size >= maxelem) {
      this.#expire();
      if (this.elements.size >= maxelem) {
        const [victim] = this.elements;
        if (!forceadd || victim === undefined) throw new KernelError(IPSET_ERR_HASH_FULL);
        this.elements.remove(victim);
      }
    }
    entry.extend(x, timeout, now);
    this.elements.add(entry);
  }

  /** Bitmaps of addresses with MAC addresses know an element by its address alone. */
  #find(key: Uint8Array): Entry | undefined {
    if (this.type.learnsMac !== true) return this.elements.get(key);
    for (const entry of this.elements)
      if (compareBytes(entry.key.subarray(0, 4), key.subarray(0, 4)) === 0) return entry;
    return undefined;
  }

  /** Deletes the element with this key; false when there is none. */
  take(key: Uint8Array): boolean {
    this.normalise(key);
    if (!this.#inRange(key)) throw new KernelError(IPSET_ERR_BITMAP_RANGE);
    const found = this.#find(key);
    if (found === undefined) return false;
    if (this.type.learnsMac === true && !sameMac(found.key, key)) return false;
    this.elements.remove(found);
    return found.expires > this.#world.now;
  }

  /** Whether a user's element is in the set; `exact` asks for the very network and not for what holds it. */
  has(key: Uint8Array, exact: boolean): Entry | undefined {
    this.normalise(key);
    if (!this.#inRange(key)) throw new KernelError(IPSET_ERR_BITMAP_RANGE);
    const { now } = this.#world;
    if (this.type.learnsMac === true) {
      const found = this.#find(key);
      return found !== undefined && sameMac(found.key, key) ? found : undefined;
    }
    if (!exact) return this.elements.match(key, now);
    const found = this.elements.get(key);
    return found !== undefined && found.expires > now ? found : undefined;
  }

  #fromPacket(pkt: PktInfo, options: IpsetOptions): boolean {
    const key = this.#key;
    if (!keyFromPacket(this.type, this.options.family, this.options.markmask, pkt, options, this.#host, key))
      return false;
    this.normalise(key);
    return this.#inRange(key);
  }

  test(pkt: PktInfo, options: IpsetOptions): IpsetElement | undefined {
    if (!this.#fromPacket(pkt, options)) return undefined;
    const { now } = this.#world;
    let found: Entry | undefined;
    if (this.type.learnsMac === true) {
      found = this.#find(this.#key);
      if (found !== undefined && (found.expires <= now || !sameMac(found.key, this.#key))) return undefined;
    } else found = this.elements.match(this.#key, now);
    if (found === undefined) return undefined;
    const wanted = (options.command & IPSET_FLAG_RETURN_NOMATCH) !== 0;
    if (found.nomatch !== wanted) return undefined;
    if (this.options.counters && !(options.command & IPSET_FLAG_SKIP_COUNTER_UPDATE)) {
      found.packetCount++;
      found.byteCount += pkt.slab.len(pkt.p);
    }
    return found;
  }

  add(pkt: PktInfo, options: IpsetOptions): boolean {
    if (!this.#fromPacket(pkt, options)) return false;
    const { now } = this.#world;
    const old = this.#find(this.#key);
    const exist = (options.command & IPSET_FLAG_EXIST) !== 0;
    if (old !== undefined && old.expires > now && !exist) return false;
    if (old === undefined && this.type.method === 'hash' && this.elements.size >= this.options.maxelem) {
      this.#expire();
      if (this.elements.size >= this.options.maxelem && !this.options.forceadd) return false;
    }
    const timeout = this.options.timeout === undefined ? undefined : options.timeout;
    this.put(this.#key, timeout === undefined ? {} : { timeout }, true);
    return true;
  }

  del(pkt: PktInfo, options: IpsetOptions): boolean {
    return this.#fromPacket(pkt, options) && this.take(this.#key);
  }
}

/** A MAC address that was left out is any. */
function sameMac(entry: Uint8Array, key: Uint8Array): boolean {
  let none = true;
  let same = true;
  for (let i = 4; i < 10; i++) {
    if (key[i] !== 0) none = false;
    if (entry[i] !== key[i]) same = false;
  }
  return none || same;
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}
