/**
 * Expectations of one host (`nf_conntrack_expect`): connections that are announced. The first packet of a new connection that
 * fits one is RELATED to the connection that announced it.
 */
import { EALREADY, EBUSY, EMFILE, ESHUTDOWN } from '../../../core/errno.ts';
import {
  IPEXP_DESTROY,
  IPEXP_NEW,
  NF_CT_EXPECT_INACTIVE,
  NF_CT_EXPECT_PERMANENT,
} from '../../../wire/uapi/ctnetlink.ts';
import type { Conntrack } from '../conntrack.ts';
import type { Conn } from '../entry.ts';
import { zoneId } from '../entry.ts';
import { copyAddress, DST, equal, newTuple, PORTS, PROTO, sameAddress, type Words } from '../tuple.ts';
import type { Expectation, ExpectPolicy, Helper } from './types.ts';

const SECOND = 1e9;

/** Class of expectations without a name of their own. */
export const CLASS_DEFAULT = 0;

export type ExpectListener = (e: Expectation, event: number) => void;

/** What an expectation is to be: addresses are given as `(words, at)`; no source: any. */
export type ExpectSpec = {
  readonly family: number;
  readonly protocol: number;
  readonly src?: readonly [Words, number];
  readonly dst: readonly [Words, number];
  readonly srcPort?: number;
  readonly dstPort: number;
  readonly class?: number;
};

/** Why an expectation was not taken, as an errno; 0: it was. */
export class Expectations {
  readonly listeners: Set<ExpectListener> = new Set();
  readonly #table: Conntrack;
  /** By destination, protocol and port. */
  readonly #buckets = new Map<string, Expectation[]>();
  #count = 0;
  #nextId = 1;
  created = 0;
  matched = 0;
  deleted = 0;

  constructor(table: Conntrack) {
    this.#table = table;
  }

  get count(): number {
    return this.#count;
  }

  /** An expectation of connection `master`, not yet entered (`nf_ct_expect_init`). */
  make(master: Conn, spec: ExpectSpec): Expectation {
    const tuple = newTuple();
    const mask = new Uint32Array(5);
    tuple[PROTO] = (spec.family << 8) | spec.protocol;
    const words = spec.family === 2 ? 1 : 4;
    if (spec.src !== undefined) {
      copyAddress(spec.src[0], spec.src[1], tuple, 0);
      for (let k = 0; k < words; k++) mask[k] = 0xffffffff;
    }
    copyAddress(spec.dst[0], spec.dst[1], tuple, DST);
    tuple[PORTS] = ((spec.srcPort ?? 0) << 16) | spec.dstPort;
    if (spec.srcPort !== undefined) mask[4] = 0xffff;
    return {
      tuple,
      mask,
      master: { index: master.index, id: master.id },
      id: this.#nextId++,
      flags: 0,
      class: spec.class ?? CLASS_DEFAULT,
      helper: undefined,
      zone: zoneId(master.zone, master.zoneDir, 0),
      expectfn: undefined,
      expiresNs: 0,
      savedAddress: new Uint32Array(4),
      savedPort: 0,
      dir: 0,
    };
  }

  /** The connection that announced it, while it lives. */
  masterOf(e: Expectation): Conn | undefined {
    const ct = this.#table.entry(e.master.index * 2);
    return ct.id === e.master.id && ct.live ? ct : undefined;
  }

  /** Enters an expectation (`nf_ct_expect_related`); `timeout` in seconds instead of the policy's. 0 or an errno. */
  add(e: Expectation, timeout?: number): number {
    const master = this.masterOf(e);
    const help = master?.helper;
    if (master === undefined || help === undefined) return ESHUTDOWN;
    for (const other of this.#bucket(e.tuple).slice()) {
      if (this.#expired(other)) continue;
      if (alike(other, e)) {
        if (other.class !== e.class || !sameMaster(other, e)) return EALREADY;
        this.remove(other);
        break;
      }
      if (clash(other, e)) return EBUSY;
    }
    const policy: ExpectPolicy | undefined = help.helper?.policies[e.class];
    const having = (): number => help.expecting[e.class] ?? 0;
    if (policy !== undefined && policy.max > 0 && having() >= policy.max) {
      this.#evictOldest(e);
      if (having() >= policy.max) return EMFILE;
    }
    if (this.#count >= this.#table.sysctls.expect_max) return EMFILE;
    const seconds = timeout ?? policy?.timeout ?? 0;
    e.expiresNs = this.#table.world.now + seconds * SECOND;
    const key = keyOf(e.tuple);
    const list = this.#buckets.get(key);
    if (list === undefined) this.#buckets.set(key, [e]);
    else list.unshift(e);
    help.expecting[e.class] = having() + 1;
    this.#count++;
    this.created++;
    this.#arm(e);
    for (const fn of this.listeners) fn(e, IPEXP_NEW);
    return 0;
  }

  #arm(e: Expectation): void {
    const { world } = this.#table;
    const check = (): void => {
      if (!this.has(e)) return;
      if (e.expiresNs <= world.now) this.remove(e);
      else world.timers.arm(e.expiresNs, check);
    };
    world.timers.arm(e.expiresNs, check);
  }

  has(e: Expectation): boolean {
    return this.#bucket(e.tuple).includes(e);
  }

  /** Takes an expectation out. */
  remove(e: Expectation): void {
    const key = keyOf(e.tuple);
    const list = this.#buckets.get(key);
    const i = list?.indexOf(e) ?? -1;
    if (list === undefined || i < 0) return;
    list.splice(i, 1);
    if (list.length === 0) this.#buckets.delete(key);
    this.#count--;
    this.deleted++;
    const help = this.masterOf(e)?.helper;
    if (help !== undefined) help.expecting[e.class]--;
    for (const fn of this.listeners) fn(e, IPEXP_DESTROY);
  }

  /** The expectation with exactly this destination that the tuple fits. */
  find(tuple: Words, zone: number): Expectation | undefined {
    return this.#bucket(tuple).find((e) => !this.#expired(e) && e.zone === zone && fits(tuple, e));
  }

  /** The expectation that a new connection fulfils: it is used up, unless it is permanent. */
  take(tuple: Words, zone: number): Expectation | undefined {
    if (this.#count === 0) return undefined;
    const e = this.#bucket(tuple).find(
      (x) => !(x.flags & NF_CT_EXPECT_INACTIVE) && x.zone === zone && fits(tuple, x) && !this.#expired(x),
    );
    if (e === undefined) return undefined;
    const master = this.masterOf(e);
    // Nobody can know of it before the announcement has left.
    if (master === undefined || !master.confirmed || master.dying) return undefined;
    this.matched++;
    if (!(e.flags & NF_CT_EXPECT_PERMANENT)) this.remove(e);
    return e;
  }

  /** The expectations of a connection that goes, or all that `which` names. */
  removeOf(ct: Conn): void {
    if (this.#count === 0) return;
    for (const e of this.all()) if (e.master.index === ct.index && e.master.id === ct.id) this.remove(e);
  }

  /** All, oldest first. */
  all(): Expectation[] {
    const out: Expectation[] = [];
    for (const list of this.#buckets.values()) for (const e of list) if (!this.#expired(e)) out.push(e);
    return out.sort((a, b) => a.id - b.id);
  }

  #bucket(tuple: Words): readonly Expectation[] {
    return this.#buckets.get(keyOf(tuple)) ?? [];
  }

  #expired(e: Expectation): boolean {
    return e.expiresNs <= this.#table.world.now;
  }

  #evictOldest(e: Expectation): void {
    const own = this.all().filter((x) => sameMaster(x, e) && x.class === e.class);
    if (own.length > 0) this.remove(own[0]);
  }
}

function keyOf(t: Words): string {
  return `${t[DST]},${t[DST + 1]},${t[DST + 2]},${t[DST + 3]},${t[PROTO]},${t[PORTS] & 0xffff}`;
}

function sameMaster(a: Expectation, b: Expectation): boolean {
  return a.master.index === b.master.index && a.master.id === b.master.id;
}

function alike(a: Expectation, b: Expectation): boolean {
  if (a.zone !== b.zone || !equal(a.tuple, 0, b.tuple, 0)) return false;
  return a.mask.every((m, k) => m === b.mask[k]) && a.class === b.class && sameMaster(a, b);
}

/** Could one packet fit both? */
function clash(a: Expectation, b: Expectation): boolean {
  if (a.zone !== b.zone) return false;
  for (let k = 0; k < 4; k++) if ((a.tuple[k] ^ b.tuple[k]) & a.mask[k] & b.mask[k]) return false;
  return (((a.tuple[PORTS] ^ b.tuple[PORTS]) >>> 16) & a.mask[4] & b.mask[4]) === 0;
}

function fits(t: Words, e: Expectation): boolean {
  if (t[PROTO] !== e.tuple[PROTO] || (t[PORTS] & 0xffff) !== (e.tuple[PORTS] & 0xffff)) return false;
  if (!sameAddress(t, DST, e.tuple, DST)) return false;
  for (let k = 0; k < 4; k++) if ((t[k] ^ e.tuple[k]) & e.mask[k]) return false;
  return (((t[PORTS] ^ e.tuple[PORTS]) >>> 16) & e.mask[4]) === 0;
}

/** A helper's expectation gets a helper of its own this way (H.323, SIP). */
export function withHelper(e: Expectation, helper: Helper): Expectation {
  return Object.assign(e, { helper });
}
