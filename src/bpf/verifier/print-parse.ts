/**
 * The reverse of `print.ts` for scalars: a register from its text in a verifier log. Bounds that are not written are at
 * their extremes, so nothing is lost.
 */
import { BPF_ADD_CONST, Reg } from './reg.ts';
import { markKnown, markUnknown } from './scalar.ts';

/** The register `text` (`5`, `P-1`, `scalar(id=1,umax=255,...)`) describes; undefined when it is no scalar. */
export function parseScalar(text: string): Reg | undefined {
  const reg = new Reg();
  markUnknown(reg);
  const precise = text.startsWith('P');
  const plain = precise ? text.slice(1) : text;
  if (/^(-?\d+|0x[0-9a-f]+)$/.test(plain)) markKnown(reg, BigInt(plain));
  else {
    const inside = /^scalar\((.*)\)$/.exec(plain);
    if (!inside) return undefined;
    const tnum = /,?var_off=\((0x[0-9a-f]+); (0x[0-9a-f]+)\)/.exec(inside[1] ?? '');
    if (tnum) {
      reg.value = BigInt(tnum[1] ?? 0);
      reg.mask = BigInt(tnum[2] ?? 0);
    }
    for (const part of (inside[1] ?? '').replace(/,?var_off=.*/, '').split(',')) setBounds(reg, part);
  }
  reg.precise = precise;
  return reg;
}

/** `smin=smin32=0`: one value under several names. */
function setBounds(reg: Reg, part: string): void {
  const names = part.split('=');
  const text = names.pop() ?? '';
  for (const name of names) {
    if (name === 'id') {
      const distance = /[+-]\d+$/.exec(text)?.[0];
      reg.id = Number.parseInt(text, 10);
      if (distance !== undefined) {
        reg.id |= BPF_ADD_CONST;
        reg.off = Number(distance);
      }
      continue;
    }
    const value = BigInt(text);
    if (name === 'smin') reg.smin = BigInt.asIntN(64, value);
    else if (name === 'smax') reg.smax = BigInt.asIntN(64, value);
    else if (name === 'umin') reg.umin = value;
    else if (name === 'umax') reg.umax = value;
    else if (name === 'smin32') reg.s32min = Number(BigInt.asIntN(32, value));
    else if (name === 'smax32') reg.s32max = Number(BigInt.asIntN(32, value));
    else if (name === 'umin32') reg.u32min = Number(value);
    else if (name === 'umax32') reg.u32max = Number(value);
  }
}
