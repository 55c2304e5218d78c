/** Matches that remember or count: limit, hashlimit, recent, statistic, quota, time, owner. */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { NFPROTO_IPV4 } from '../../../wire/uapi/netfilter.ts';
import { type Hashlimit, hashlimit as hashlimitCodec } from '../../../wire/xt/hashlimit.ts';
import { type Limit, limit as limitCodec } from '../../../wire/xt/limit.ts';
import { type Owner, owner as ownerCodec } from '../../../wire/xt/owner.ts';
import { type Quota, quota as quotaCodec } from '../../../wire/xt/quota.ts';
import { type Recent, recent as recentCodec } from '../../../wire/xt/recent.ts';
import { type Statistic, statistic as statisticCodec } from '../../../wire/xt/statistic.ts';
import { type Time, time as timeCodec } from '../../../wire/xt/time.ts';
import type { PktInfo } from '../../nft/pkt.ts';
import { type MatchFn, XT_HOTDROP, XT_NO, XT_YES, type XtMatch } from '../extension.ts';
import { type HashlimitEntry, hold, type RecentList } from '../state.ts';

const yes = (hit: boolean): number => (hit ? XT_YES : XT_NO);

const LIMIT_SCALE = 10000;

export const limit: XtMatch<Limit> = {
  name: 'limit',
  revision: 0,
  codec: limitCodec,
  make(info, ctx) {
    const { world } = ctx.init.host;
    if (info.burst === 0 || info.avg === 0) throw new KernelError(EINVAL);
    const cost = (info.avg * 1e9) / LIMIT_SCALE;
    const cap = cost * info.burst;
    let credit = cap;
    let prev = world.now;
    return () => {
      credit = Math.min(cap, credit + world.now - prev);
      prev = world.now;
      if (credit < cost) return XT_NO;
      credit -= cost;
      return XT_YES;
    };
  },
};

const HASH_DIP = 1;
const HASH_DPT = 2;
const HASH_SIP = 4;
const HASH_SPT = 8;
const HASH_INVERT = 16;
const HASH_BYTES = 32;
const HASH_RATE_MATCH = 64;
const HASH_SCALE = 1000000;

/** The bytes of an address under a prefix length, as a string key. */
function prefixKey(pkt: PktInfo, at: number, size: number, length: number): string {
  let key = '';
  for (let i = 0; i < size; i++) {
    const bits = Math.min(8, Math.max(0, length - i * 8));
    key += String.fromCharCode(pkt.slab.u8[at + i] & ((0xff00 >> bits) & 0xff));
  }
  return key;
}

/** Packets or bytes of 16 a second under which a byte rate lies (the inverse of what `--hashlimit-upto` of bytes sends). */
const byteRate = (avg: number): number => (Math.floor(0xffffffff / avg) - 1) * 16;

/**
 * --hashlimit-rate-match: whether the rate of the window that is running, and of the one before it, is below the limit.
 * `credit` counts this window; `refills` is 1 when the one before went over.
 */
function windows(info: Hashlimit): (entry: HashlimitEntry, size: number, now: number) => boolean {
  const bytes = (info.mode & HASH_BYTES) !== 0;
  const rate = bytes ? byteRate(Number(info.avg)) : Math.floor(HASH_SCALE / Number(info.avg));
  const burst = bytes ? Math.max(1, Number(info.burst)) * rate : Number(info.burst) + rate;
  const interval = Math.max(1, info.interval) * 1e9;
  return (entry, size, now) => {
    const passed = now - entry.prev;
    if (passed >= interval) {
      entry.refills = entry.credit * interval > passed * rate ? 1 : 0;
      entry.credit = 0;
      entry.prev = now;
    }
    entry.credit += bytes ? size : 1;
    return entry.refills === 0 && entry.credit <= burst;
  };
}

export const hashlimit: XtMatch<Hashlimit> = {
  name: 'hashlimit',
  revision: 3,
  codec: hashlimitCodec,
  make(info, ctx) {
    const { world } = ctx.init.host;
    if (info.gcInterval === 0 || info.expire === 0 || info.name === '') throw new KernelError(EINVAL);
    if (info.avg === 0n || (info.burst === 0n && !(info.mode & (HASH_BYTES | HASH_RATE_MATCH))))
      throw new KernelError(EINVAL);
    const v4 = ctx.family === NFPROTO_IPV4;
    const size = v4 ? 4 : 16;
    const byteMode = (info.mode & HASH_BYTES) !== 0;
    // Credit is time. In byte mode the bucket holds a second, and `avg` is what 16 bytes cost, in 2^-32 seconds; `burst`
    // says how often an empty bucket is filled up at once. Otherwise a packet costs `avg` microseconds.
    const cost = byteMode ? (Number(info.avg) * 1e9) / 2 ** 32 : (Number(info.avg) * 1e9) / HASH_SCALE;
    const cap = byteMode ? 1e9 : cost * Number(info.burst);
    const name = `${v4 ? 4 : 6} ${info.name}`;
    const shared = ctx.state.hashlimit.get(name) ?? { entries: new Map<string, HashlimitEntry>(), users: 0 };
    const table = shared.entries;
    const release = hold(ctx.state.hashlimit, name, shared);
    const inverted = (info.mode & HASH_INVERT) !== 0;
    const rateMatch = info.mode & HASH_RATE_MATCH ? windows(info) : undefined;
    const keyOf = (pkt: PktInfo): string | undefined => {
      let key = '';
      if (info.mode & HASH_SIP) key += `${prefixKey(pkt, pkt.nhoff + (v4 ? 12 : 8), size, info.srcMask)}|`;
      if (info.mode & HASH_DIP) key += `${prefixKey(pkt, pkt.nhoff + (v4 ? 16 : 24), size, info.dstMask)}|`;
      if (info.mode & (HASH_SPT | HASH_DPT)) {
        if (pkt.fragoff !== 0 || pkt.thoff + 4 > pkt.end) return undefined;
        if (info.mode & HASH_SPT) key += `s${pkt.slab.dv.getUint16(pkt.thoff)}`;
        if (info.mode & HASH_DPT) key += `d${pkt.slab.dv.getUint16(pkt.thoff + 2)}`;
      }
      return key;
    };
    const run: MatchFn = (pkt) => {
      const key = keyOf(pkt);
      if (key === undefined) return XT_HOTDROP;
      const { now } = world;
      let entry = table.get(key);
      if (entry === undefined || entry.expires < now) {
        if (info.max !== 0 && table.size >= info.max && !table.has(key)) return XT_HOTDROP;
        entry = {
          credit: rateMatch === undefined ? cap : 0,
          prev: now,
          expires: 0,
          refills: rateMatch === undefined && byteMode ? Number(info.burst) : 0,
        };
        table.set(key, entry);
      }
      entry.expires = now + info.expire * 1e6;
      if (rateMatch !== undefined) return yes(rateMatch(entry, pkt.end - pkt.nhoff, now) !== inverted);
      entry.credit = Math.min(cap, entry.credit + now - entry.prev);
      entry.prev = now;
      const price = byteMode ? Math.min(cap, cost * (((pkt.end - pkt.nhoff) >> 4) + 1)) : cost;
      if (entry.credit < price && entry.refills > 0) {
        entry.refills--;
        entry.credit = cap;
      }
      const under = entry.credit >= price;
      if (under) entry.credit -= price;
      return yes(under !== inverted);
    };
    return { run, destroy: release };
  },
};

const RECENT_CHECK = 1;
const RECENT_SET = 2;
const RECENT_UPDATE = 4;
const RECENT_REMOVE = 8;
const RECENT_TTL = 16;
const RECENT_REAP = 32;
/** Addresses of a list (module parameter ip_list_tot). */
const RECENT_MAX = 100;
const RECENT_STAMPS_MAX = 255;

export const recent: XtMatch<Recent> = {
  name: 'recent',
  revision: 1,
  codec: recentCodec,
  make(info, ctx) {
    const { world } = ctx.init.host;
    const command = info.checkSet & (RECENT_CHECK | RECENT_SET | RECENT_UPDATE | RECENT_REMOVE);
    if (command === 0 || (command & (command - 1)) !== 0 || info.checkSet & ~63) throw new KernelError(EINVAL);
    if (
      command & (RECENT_SET | RECENT_REMOVE) &&
      (info.seconds || info.hitCount || info.checkSet & (RECENT_TTL | RECENT_REAP))
    )
      throw new KernelError(EINVAL);
    if (info.checkSet & RECENT_REAP && !info.seconds) throw new KernelError(EINVAL);
    if (info.hitCount >= 65536)
      throw new KernelError(EINVAL, `hitcount (${info.hitCount}) is larger than allowed maximum (65535)`);
    if (info.name === '' || info.name.includes('/')) throw new KernelError(EINVAL);
    const v4 = ctx.family === NFPROTO_IPV4;
    const name = `${v4 ? 4 : 6} ${info.name}`;
    const shared: RecentList = ctx.state.recent.get(name) ?? { entries: new Map(), depth: 20, users: 0 };
    const { entries } = shared;
    const release = hold(ctx.state.recent, name, shared);
    // The list keeps as many stamps as its most demanding rule asks for (a power of two, less one).
    let depth = 1;
    while (depth <= info.hitCount) depth *= 2;
    shared.depth = Math.max(shared.depth, Math.min(depth - 1, Math.max(RECENT_STAMPS_MAX, info.hitCount)));
    const size = v4 ? 4 : 16;
    const offset = info.side === 1 ? (v4 ? 16 : 24) : v4 ? 12 : 8;
    const invert = info.invert !== 0;
    const run: MatchFn = (pkt) => {
      const { u8 } = pkt.slab;
      let key = '';
      for (let i = 0; i < size; i++) key += String.fromCharCode(u8[pkt.nhoff + offset + i] & info.mask[i]);
      let ttl = u8[pkt.nhoff + (v4 ? 8 : 7)];
      // Packets of this host have not been forwarded yet: count the hop they are about to take.
      if (pkt.iif === 0 || pkt.hook === 3) ttl++;
      const { now } = world;
      let entry = entries.get(key);
      if (entry !== undefined && info.checkSet & RECENT_TTL && entry.ttl !== ttl) entry = undefined;
      if (entry === undefined) {
        if (!(info.checkSet & RECENT_SET)) return yes(invert);
        if (entries.size >= RECENT_MAX) {
          const oldest = entries.keys().next().value;
          if (oldest !== undefined) entries.delete(oldest);
        }
        entries.set(key, { ttl, stamps: [now] });
        return yes(!invert);
      }
      let answer = false;
      if (info.checkSet & RECENT_SET) answer = true;
      else if (info.checkSet & RECENT_REMOVE) {
        entries.delete(key);
        return yes(!invert);
      } else {
        let hits = 0;
        const since = now - info.seconds * 1e9;
        for (const stamp of entry.stamps) {
          if (info.seconds && stamp < since) continue;
          hits++;
          if (info.hitCount === 0 || hits >= info.hitCount) {
            answer = true;
            break;
          }
        }
        if (info.checkSet & RECENT_REAP)
          for (const [k, e] of entries) if ((e.stamps.at(-1) ?? 0) < since) entries.delete(k);
      }
      if (info.checkSet & RECENT_SET || (info.checkSet & RECENT_UPDATE && answer)) {
        entry.stamps.push(now);
        if (entry.stamps.length > shared.depth) entry.stamps.shift();
        entry.ttl = ttl;
        // Last used goes to the end: the first is the one to give way.
        entries.delete(key);
        entries.set(key, entry);
      }
      return yes(answer !== invert);
    };
    return { run, destroy: release };
  },
};

export const statistic: XtMatch<Statistic> = {
  name: 'statistic',
  revision: 0,
  codec: statisticCodec,
  make(info, ctx) {
    const { random } = ctx.init.host.world;
    if (info.mode > 1 || info.flags & ~1) throw new KernelError(EINVAL);
    const invert = (info.flags & 1) !== 0;
    // The union's first word is the probability in random mode, and `every` in nth mode.
    if (info.mode === 0) return () => yes((random.u32() & 0x7fffffff) < info.every !== invert);
    let count = info.count;
    const next = info.every;
    return () => {
      const hit = count === next;
      count = hit ? 0 : count + 1;
      return yes(hit !== invert);
    };
  },
};

export const quota: XtMatch<Quota> = {
  name: 'quota',
  revision: 0,
  codec: quotaCodec,
  make(info) {
    if (info.flags & ~1) throw new KernelError(EINVAL);
    let left = info.quota;
    const invert = (info.flags & 1) !== 0;
    return (pkt) => {
      const size = BigInt(pkt.slab.end(pkt.p) - pkt.nhoff);
      let hit = invert;
      if (left >= size) {
        left -= size;
        hit = !hit;
      } else left = 0n;
      return yes(hit);
    };
  },
};

const LOCAL_TZ = 1;
const CONTIGUOUS = 2;

export const time: XtMatch<Time> = {
  name: 'time',
  revision: 0,
  codec: timeCodec,
  make(info, ctx) {
    const { world } = ctx.init.host;
    if (info.daytimeStart > 86399 || info.daytimeStop > 86399)
      throw new KernelError(EINVAL, 'invalid argument - start or stop time greater than 23:59:59');
    if (info.flags & ~(LOCAL_TZ | CONTIGUOUS)) throw new KernelError(EINVAL);
    const overnight = info.daytimeStart > info.daytimeStop;
    return () => {
      // The kernel's own time zone (--kerneltz) is UTC here.
      let stamp = Math.floor((world.epochMs + world.now / 1e6) / 1000);
      if (stamp < info.dateStart || stamp > info.dateStop) return XT_NO;
      const second = stamp % 86400;
      if (!overnight) {
        if (second < info.daytimeStart || second > info.daytimeStop) return XT_NO;
      } else {
        if (second < info.daytimeStart && second > info.daytimeStop) return XT_NO;
        // After midnight the day that counts is the one on which the period began.
        if (info.flags & CONTIGUOUS && second <= info.daytimeStop) stamp -= 86400;
      }
      const date = new Date(stamp * 1000);
      const weekday = date.getUTCDay() === 0 ? 7 : date.getUTCDay();
      return yes((info.weekdays & (1 << weekday)) !== 0 && (info.monthdays & (1 << date.getUTCDate())) !== 0);
    };
  },
};

const UID = 1;
const GID = 2;
const SOCKET = 4;

export const owner: XtMatch<Owner> = {
  name: 'owner',
  revision: 1,
  codec: ownerCodec,
  make: (info) => (pkt) => {
    const { slab, p } = pkt;
    // A packet that no socket sent has no owner.
    if (slab.sk(p) === 0) return yes(((info.match ^ info.invert) & (UID | GID | SOCKET)) === 0);
    if (info.match & info.invert & SOCKET) return XT_NO;
    if (info.match & UID) {
      const uid = slab.uid(p);
      if ((uid >= info.uidMin && uid <= info.uidMax) === ((info.invert & UID) !== 0)) return XT_NO;
    }
    if (info.match & GID) {
      const gid = slab.gid(p);
      if ((gid >= info.gidMin && gid <= info.gidMax) === ((info.invert & GID) !== 0)) return XT_NO;
    }
    return XT_YES;
  },
  validate(chain) {
    const hook = chain.base?.hook ?? 0;
    if (hook !== 3 && hook !== 4) throw new KernelError(EINVAL);
  },
};
