/**
 * What a register holds, apart from the register: tnum, bounds, and what a pointer points to. See `reg.ts`.
 */
import type { MapInfo } from '../program.ts';
import { NOT_INIT, S32_MAX, S32_MIN, S64_MAX, S64_MIN, SCALAR_VALUE, U32_MAX, U64_MAX } from './reg-types.ts';

/** What a pointer or object points to or is, where its type does not say it all. Never changed, only replaced. */
export type Pointee = {
  /** PTR_TO_MEM and PTR_TO_BUF: bytes there. */
  readonly memSize: number;
  /** Map pointers and values. */
  readonly map: MapInfo | undefined;
  /** Inner maps: differs for values of different lookups of one outer map. */
  readonly mapUid: number;
  /** PTR_TO_STACK: number of the frame pointed into; callbacks: depth of inlined calls. */
  readonly frame: number;
  /** PTR_TO_FUNC: the subprogram. */
  readonly subprog: number;
  /** PTR_TO_BTF_ID: name of the kernel struct. */
  readonly btfName: string;
  /** Dynptr slots and CONST_PTR_TO_DYNPTR: 'local', 'ringbuf', 'skb', 'xdp', 'skb_meta'; '' for none. */
  readonly dynptrKind: string;
  readonly dynptrFirst: boolean;
  readonly dynptrId: number;
  /** Iterator slots. */
  readonly iterKind: string;
  readonly iterActive: boolean;
  readonly iterDepth: number;
};

export const NOTHING: Pointee = {
  memSize: 0,
  map: undefined,
  mapUid: 0,
  frame: 0,
  subprog: -1,
  btfName: '',
  dynptrKind: '',
  dynptrFirst: false,
  dynptrId: 0,
  iterKind: '',
  iterActive: false,
  iterDepth: 0,
};

/**
 * What registers hold. Copies of a register share their contents until one of them changes: a state is copied at every
 * branch, and most of it is never touched again.
 */
export class Contents {
  shared = false;
  type: number = NOT_INIT;
  off = 0;
  value = 0n;
  mask: bigint = U64_MAX;
  umin = 0n;
  umax: bigint = U64_MAX;
  smin: bigint = S64_MIN;
  smax: bigint = S64_MAX;
  u32min = 0;
  u32max: number = U32_MAX;
  s32min: number = S32_MIN;
  s32max: number = S32_MAX;
  id = 0;
  refId = 0;
  range = 0;
  pointee: Pointee = NOTHING;

  own(): Contents {
    const c = new Contents();
    c.type = this.type;
    c.off = this.off;
    c.value = this.value;
    c.mask = this.mask;
    c.umin = this.umin;
    c.umax = this.umax;
    c.smin = this.smin;
    c.smax = this.smax;
    c.u32min = this.u32min;
    c.u32max = this.u32max;
    c.s32min = this.s32min;
    c.s32max = this.s32max;
    c.id = this.id;
    c.refId = this.refId;
    c.range = this.range;
    c.pointee = this.pointee;
    return c;
  }

  /** To be given to several registers. */
  share(): Contents {
    this.shared = true;
    return this;
  }
}

/** Not initialised, and an unknown scalar: what most registers hold most of the time. */
export const UNINIT: Contents = new Contents().share();
export const UNKNOWN: Contents = unknownContents();

function unknownContents(): Contents {
  const c = new Contents();
  c.type = SCALAR_VALUE;
  return c.share();
}
