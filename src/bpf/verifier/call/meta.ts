/** What the arguments of one call have shown, for its other arguments and for its return value. */
import type { MapInfo } from '../../program.ts';
import type { HelperProto } from '../helper-table.ts';
import type { RawBuffer } from '../stack.ts';

export class CallMeta implements RawBuffer {
  /** The helper; undefined for a kernel function. */
  readonly proto: HelperProto | undefined;
  /** "bpf_map_lookup_elem#1". */
  readonly name: string;
  /** The map argument; for timers the map that the timer lies in. */
  map: MapInfo | undefined = undefined;
  mapUid = 0;
  /** The last memory argument is written before it is read; its register and bytes, for the stack. */
  raw = false;
  regno = -1;
  accessSize = 0;
  /** Constant size argument: bytes behind the returned pointer. */
  memSize = 0;
  /** Greatest value of the last size argument: what the return value cannot exceed. */
  maxSize: bigint | undefined = undefined;
  /** Constant key of an array lookup, -1 when not known. */
  constKey = -1n;
  /** The referenced object among the arguments. */
  refId = 0;
  /** The argument that the call gives back, 0 for none. */
  releaseRegno = 0;
  /** The callback. */
  subprog = -1;
  /** Dynptr argument: its id and kind. */
  dynptrId = 0;
  dynptrKind = '';
  /** The call makes packet pointers invalid. */
  changesData = false;

  constructor(proto: HelperProto | undefined, name: string) {
    this.proto = proto;
    this.name = name;
  }
}
