/**
 * `limit`: a token bucket counted in nanoseconds. It holds time; a packet (or byte) costs `nsecs / rate`; time since the
 * last packet fills it up to the burst. Also the named limit object.
 */
import { EINVAL, EOVERFLOW, KernelError } from '../../../core/errno.ts';
import { getBeU64 } from '../../../wire/netlink/attr.ts';
import {
  NFT_BREAK,
  NFT_LIMIT_F_INV,
  NFT_LIMIT_PKT_BYTES,
  NFTA_LIMIT_BURST,
  NFTA_LIMIT_FLAGS,
  NFTA_LIMIT_RATE,
  NFTA_LIMIT_TYPE,
  NFTA_LIMIT_UNIT,
} from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, need, u32Attr } from '../expr.ts';
import { State } from '../state.ts';

const NFT_LIMIT_PKT_BURST_DEFAULT = 5;

type Settings = { rate: bigint; unit: bigint; burst: number; type: number; flags: number };

function newLimit(s: Settings): Expr {
  const bytes = s.type === NFT_LIMIT_PKT_BYTES;
  const rate = Number(s.rate);
  // What the kernel computes in 64-bit integers; a double holds up to 2^53 ns (104 days) exactly.
  const nsecs = Number(s.unit) * 1e9;
  // Packets: burst x cost of one; bytes: the time that rate + burst bytes take.
  const cost = bytes ? 0 : Math.floor(nsecs / rate);
  const full = bytes ? Math.floor((nsecs * (rate + s.burst)) / rate) : cost * s.burst;
  const invert = (s.flags & NFT_LIMIT_F_INV) !== 0;
  // Tokens, time of the last packet plus one (0: none yet).
  const state = new State(full, 0);
  return {
    name: 'limit',
    native: bytes || !Number.isSafeInteger(full) ? undefined : { op: 'limit', state, cost, full, invert },
    aloof: true,
    eval(regs, pkt) {
      const now = Math.floor(pkt.world.now) + 1;
      const last = state.get(1);
      const available = Math.min(state.get(0) + (last === 0 ? 0 : now - last), full);
      state.set(1, now);
      const price = bytes ? Math.floor((nsecs * pkt.slab.len(pkt.p)) / rate) : cost;
      let over: boolean;
      if (available >= price) {
        state.set(0, available - price);
        over = false;
      } else {
        state.set(0, available);
        over = true;
      }
      if (over !== invert) regs.verdict = NFT_BREAK;
    },
    dump(w) {
      w.beU64(NFTA_LIMIT_RATE, s.rate).beU64(NFTA_LIMIT_UNIT, s.unit).beU32(NFTA_LIMIT_BURST, s.burst);
      w.beU32(NFTA_LIMIT_TYPE, s.type).beU32(NFTA_LIMIT_FLAGS, s.flags);
    },
    clone() {
      return newLimit(s);
    },
  };
}

export const limit: ExprKind = {
  name: 'limit',
  init(attrs): Expr {
    const rate = getBeU64(need(attrs, NFTA_LIMIT_RATE).payload);
    const unit = getBeU64(need(attrs, NFTA_LIMIT_UNIT).payload);
    if (rate === 0n) throw new KernelError(EINVAL);
    if (unit * 1_000_000_000n < unit || unit * 1_000_000_000n > 0xffffffffffffffffn) throw new KernelError(EOVERFLOW);
    const type = u32Attr(attrs, NFTA_LIMIT_TYPE, 0);
    let burst = u32Attr(attrs, NFTA_LIMIT_BURST, 0);
    if (type > NFT_LIMIT_PKT_BYTES) throw new KernelError(EINVAL);
    if (type !== NFT_LIMIT_PKT_BYTES && burst === 0) burst = NFT_LIMIT_PKT_BURST_DEFAULT;
    if (rate + BigInt(burst) < rate) throw new KernelError(EOVERFLOW);
    return newLimit({ rate, unit, burst, type, flags: u32Attr(attrs, NFTA_LIMIT_FLAGS, 0) });
  },
};
