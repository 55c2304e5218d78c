/** Match `set` and target `SET`: elements of ipset sets. The sets themselves are `XtState.sets`. */
import { EINVAL, ENOENT, ERANGE, KernelError } from '../../../core/errno.ts';
import * as I from '../../../wire/xt/set.ts';
import {
  type MatchFn,
  type TargetFn,
  XT_CONTINUE,
  XT_NO,
  XT_YES,
  type XtContext,
  type XtMatch,
  type XtTarget,
} from '../extension.ts';
import type { IpsetOptions, IpsetSet } from '../ipset.ts';

/** A set as a rule knows it: by its index, so that a swap changes what the rule looks at. */
type SetRef = { get(): IpsetSet | undefined };

function find(ctx: XtContext, info: I.SetInfo): SetRef {
  const { sets } = ctx.state;
  if (sets?.byIndex(info.index) === undefined)
    throw new KernelError(ENOENT, `Cannot find set identified by id ${info.index} to match`);
  if (info.dim === 0 || info.dim > 6) throw new KernelError(ERANGE, 'set dimension is over the limit!');
  return { get: () => sets.byIndex(info.index) };
}

/** Takes hold of sets; the answer lets them go. */
function holdSets(refs: readonly SetRef[]): (undo: (step: () => void) => void) => void {
  const move = (by: number): void => {
    for (const ref of refs) {
      const set = ref.get();
      if (set !== undefined) set.references += by;
    }
  };
  move(1);
  return (undo) => {
    move(-1);
    undo(() => move(1));
  };
}

const options = (info: I.SetInfo, flags: number, timeout: number | undefined): IpsetOptions => ({
  dim: info.dim,
  flags: info.flags,
  command: flags,
  timeout,
});

function compare(c: I.CounterMatch): ((value: bigint) => boolean) | undefined {
  switch (c.op) {
    case I.IPSET_COUNTER_NONE:
      return undefined;
    case I.IPSET_COUNTER_EQ:
      return (value) => value === c.value;
    case I.IPSET_COUNTER_NE:
      return (value) => value !== c.value;
    case I.IPSET_COUNTER_LT:
      return (value) => value < c.value;
    case I.IPSET_COUNTER_GT:
      return (value) => value > c.value;
    default:
      throw new KernelError(EINVAL);
  }
}

export const set: XtMatch<I.SetMatch> = {
  name: 'set',
  revision: 4,
  codec: I.setMatch,
  make(info, ctx) {
    const found = find(ctx, info.set);
    const packets = compare(info.packets);
    const bytes = compare(info.bytes);
    const opt = options(info.set, info.flags, undefined);
    const invert = (info.set.flags & I.IPSET_INV_MATCH) !== 0;
    const run: MatchFn = (pkt) => {
      const element = found.get()?.test(pkt, opt);
      let hit = element !== undefined;
      if (element !== undefined && packets !== undefined) hit &&= packets(element.packets);
      if (element !== undefined && bytes !== undefined) hit &&= bytes(element.bytes);
      return hit !== invert ? XT_YES : XT_NO;
    };
    return { run, destroy: holdSets([found]) };
  },
};

const TIMEOUT_NONE = 0xffffffff;
const MAP_FLAGS: number = I.IPSET_FLAG_MAP_SKBMARK | I.IPSET_FLAG_MAP_SKBPRIO | I.IPSET_FLAG_MAP_SKBQUEUE;

export const SET: XtTarget<I.SetTarget> = {
  name: 'SET',
  revision: 3,
  codec: I.setTarget,
  make(info, ctx) {
    const there = (side: I.SetInfo): SetRef | undefined =>
      side.index === I.IPSET_INVALID_ID ? undefined : find(ctx, side);
    const add = there(info.add);
    const del = there(info.del);
    const map = there(info.map);
    if (map !== undefined && (ctx.table !== 'mangle' || !(info.flags & MAP_FLAGS))) throw new KernelError(EINVAL);
    const timeout = info.timeout === TIMEOUT_NONE ? undefined : info.timeout;
    const addOptions = options(info.add, info.flags & ~MAP_FLAGS, timeout);
    const delOptions = options(info.del, 0, undefined);
    const mapOptions = options(info.map, 0, undefined);
    const run: TargetFn = (pkt) => {
      add?.get()?.add(pkt, addOptions);
      del?.get()?.del(pkt, delOptions);
      const element = map?.get()?.test(pkt, mapOptions);
      if (element !== undefined) {
        if (info.flags & I.IPSET_FLAG_MAP_SKBMARK)
          pkt.slab.setMark(pkt.p, ((pkt.slab.mark(pkt.p) & ~element.markMask) ^ element.mark) >>> 0);
        if (info.flags & I.IPSET_FLAG_MAP_SKBPRIO) pkt.slab.setPriority(pkt.p, element.priority);
      }
      return XT_CONTINUE;
    };
    return { run, destroy: holdSets([add, del, map].filter((one) => one !== undefined)) };
  },
  validate(chain, info) {
    const hook = chain.base?.hook;
    // The queue of a packet can be chosen only on its way out.
    if (info.map.index !== I.IPSET_INVALID_ID && hook !== undefined)
      if (info.flags & (I.IPSET_FLAG_MAP_SKBPRIO | I.IPSET_FLAG_MAP_SKBQUEUE) && hook < 2)
        throw new KernelError(EINVAL);
  },
};
