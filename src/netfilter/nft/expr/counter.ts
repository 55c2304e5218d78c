/**
 * `counter`: counts packets and the bytes of their network layer; also the named counter object.
 */
import { getBeU64 } from '../../../wire/netlink/attr.ts';
import { NFTA_COUNTER_BYTES, NFTA_COUNTER_PACKETS } from '../../../wire/uapi/nf-tables.ts';
import type { Expr, ExprKind } from '../expr.ts';

/** A counter instance with the given start. */
export function newCounter(packets: number, bytes: number): Expr & { packets: number; bytes: number } {
  return {
    name: 'counter',
    packets,
    bytes,
    eval(_regs, pkt) {
      this.packets++;
      this.bytes += pkt.slab.len(pkt.p);
    },
    dump(w, reset) {
      w.beU64(NFTA_COUNTER_BYTES, BigInt(this.bytes)).beU64(NFTA_COUNTER_PACKETS, BigInt(this.packets));
      if (reset) {
        this.packets = 0;
        this.bytes = 0;
      }
    },
    clone() {
      return newCounter(packets, bytes);
    },
  };
}

export const counter: ExprKind = {
  name: 'counter',
  init(attrs): Expr {
    const packets = attrs.get(NFTA_COUNTER_PACKETS);
    const bytes = attrs.get(NFTA_COUNTER_BYTES);
    return newCounter(packets ? Number(getBeU64(packets.payload)) : 0, bytes ? Number(getBeU64(bytes.payload)) : 0);
  },
};
