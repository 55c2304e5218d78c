/**
 * `counter`: counts packets and the bytes of their network layer; also the named counter object.
 */
import { getBeU64 } from '../../../wire/netlink/attr.ts';
import { NFTA_COUNTER_BYTES, NFTA_COUNTER_PACKETS } from '../../../wire/uapi/nf-tables.ts';
import type { Expr, ExprKind } from '../expr.ts';
import { State } from '../state.ts';

/** A counter instance with the given start. */
export function newCounter(packets: number, bytes: number): Expr {
  const state = new State(packets, bytes);
  return {
    name: 'counter',
    native: { op: 'counter', state },
    aloof: true,
    eval(_regs, pkt) {
      state.add(0, 1);
      state.add(1, pkt.slab.len(pkt.p));
    },
    dump(w, reset) {
      w.beU64(NFTA_COUNTER_BYTES, BigInt(state.get(1))).beU64(NFTA_COUNTER_PACKETS, BigInt(state.get(0)));
      if (reset) {
        state.set(0, 0);
        state.set(1, 0);
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
