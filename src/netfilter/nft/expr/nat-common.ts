/** What the expressions nat, masq and redir share: hook checks, port registers, the conntrack reference. */
import { EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import type { Attr } from '../../../wire/netlink/attr.ts';
import { NF_NAT_RANGE_MASK, NF_NAT_RANGE_PROTO_SPECIFIED } from '../../../wire/uapi/ctnetlink.ts';
import type { NatRange } from '../../nat/range.ts';
import { type InitContext, u32Attr } from '../expr.ts';
import type { Chain } from '../model.ts';
import { loadRegister, type Regs } from '../regs.ts';

/** Refuses chains that are not of type nat, and hooks where this translation makes no sense. */
export function validateNat(chain: Chain, hooks: readonly number[]): void {
  const { type, hook } = chain.base!;
  if (type !== 'nat' || !hooks.includes(hook)) throw new KernelError(EOPNOTSUPP);
}

/** NF_NAT_RANGE_* bits of a flags attribute. */
export function natFlags(attrs: ReadonlyMap<number, Attr>, type: number): number {
  const flags = u32Attr(attrs, type, 0);
  if (flags & ~NF_NAT_RANGE_MASK) throw new KernelError(EOPNOTSUPP, undefined, attrs.get(type)?.offset);
  return flags;
}

/** Byte offsets of the two port registers; -1 without. */
export type PortRegisters = { readonly min: number; readonly max: number };

export function portRegisters(attrs: ReadonlyMap<number, Attr>, min: number, max: number): PortRegisters {
  if (!attrs.has(min)) return { min: -1, max: -1 };
  const first = loadRegister(attrs.get(min), 2);
  return { min: first, max: attrs.has(max) ? loadRegister(attrs.get(max), 2) : first };
}

/** Takes ports from the registers (network order) and the flags into a range. */
export function fillPorts(range: NatRange, flags: number, ports: PortRegisters, regs: Regs): void {
  range.flags = flags;
  range.basePort = 0;
  if (ports.min < 0) return;
  range.minPort = regs.dv.getUint16(ports.min);
  range.maxPort = regs.dv.getUint16(ports.max);
  range.flags |= NF_NAT_RANGE_PROTO_SPECIFIED;
}

/** Holds conntrack for the table's family; the answer gives it back. */
export function holdConntrack(ctx: InitContext): (undo: (step: () => void) => void) => void {
  const { conntrack } = ctx.host;
  const { family } = ctx;
  conntrack.get(family);
  return (undo) => {
    conntrack.put(family);
    undo(() => conntrack.get(family));
  };
}
