/**
 * Registers as text, as Linux 6.18 writes them in the verifier log
 * (`R3=scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))`), and the names of register kinds that
 * stand in its messages.
 */
import {
  BASE,
  BPF_ADD_CONST,
  CONST_PTR_TO_DYNPTR,
  CONST_PTR_TO_MAP,
  isPacketPointer,
  MEM_PERCPU,
  MEM_RCU,
  MEM_RDONLY,
  MEM_RINGBUF,
  NOT_INIT,
  PTR_MAYBE_NULL,
  PTR_TO_ARENA,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_CTX,
  PTR_TO_FLOW_KEYS,
  PTR_TO_FUNC,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_STACK,
  PTR_TO_TCP_SOCK,
  PTR_TO_TP_BUFFER,
  PTR_TO_XDP_SOCK,
  PTR_TRUSTED,
  PTR_UNTRUSTED,
  type Reg,
  S32_MAX,
  S32_MIN,
  S64_MAX,
  S64_MIN,
  SCALAR_VALUE,
  U32_MAX,
  U64_MAX,
} from './reg.ts';

const KIND_NAMES: ReadonlyMap<number, string> = new Map([
  [NOT_INIT, '?'],
  [SCALAR_VALUE, 'scalar'],
  [PTR_TO_CTX, 'ctx'],
  [CONST_PTR_TO_MAP, 'map_ptr'],
  [PTR_TO_MAP_VALUE, 'map_value'],
  [PTR_TO_MAP_KEY, 'map_key'],
  [PTR_TO_STACK, 'fp'],
  [PTR_TO_PACKET, 'pkt'],
  [PTR_TO_PACKET_META, 'pkt_meta'],
  [PTR_TO_PACKET_END, 'pkt_end'],
  [PTR_TO_FLOW_KEYS, 'flow_keys'],
  [PTR_TO_SOCKET, 'sock'],
  [PTR_TO_SOCK_COMMON, 'sock_common'],
  [PTR_TO_TCP_SOCK, 'tcp_sock'],
  [PTR_TO_TP_BUFFER, 'tp_buffer'],
  [PTR_TO_XDP_SOCK, 'xdp_sock'],
  [PTR_TO_BTF_ID, 'ptr_'],
  [PTR_TO_MEM, 'mem'],
  [PTR_TO_ARENA, 'arena'],
  [PTR_TO_BUF, 'buf'],
  [PTR_TO_FUNC, 'func'],
  [CONST_PTR_TO_DYNPTR, 'dynptr_ptr'],
]);

const PREFIXES: readonly (readonly [flag: number, text: string])[] = [
  [MEM_RDONLY, 'rdonly_'],
  [MEM_RINGBUF, 'ringbuf_'],
  [MEM_PERCPU, 'percpu_'],
  [MEM_RCU, 'rcu_'],
  [PTR_UNTRUSTED, 'untrusted_'],
  [PTR_TRUSTED, 'trusted_'],
];

/** The name of a register type with its flags, as in "R1 type=scalar expected=map_ptr". */
export function typeName(type: number): string {
  const kind = type & BASE;
  let name = '';
  for (const [flag, text] of PREFIXES) if ((type & flag) !== 0) name += text;
  name += KIND_NAMES.get(kind) ?? '?';
  if ((type & PTR_MAYBE_NULL) !== 0) name += kind === PTR_TO_BTF_ID ? 'or_null_' : '_or_null';
  return name;
}

const isSmall = (n: bigint): boolean => n >= -0x8000n && n <= 0x7fffn;
const hex = (n: bigint): string => `0x${BigInt.asUintN(64, n).toString(16)}`;

/** A signed number: decimal within 16 bits, else the hexadecimal of its 64 bits. */
export const signedText = (n: bigint): string => (isSmall(n) ? n.toString() : hex(n));

/** An unsigned number: decimal within 16 bits, else hexadecimal. */
export const unsignedText = (n: bigint): string => (n >= 0n && n <= 0xffffn ? n.toString() : hex(n));

/** `(0x0; 0xff)`: value and mask. */
export const tnumText = (value: bigint, mask: bigint): string => `(${hex(value)}; ${hex(mask)})`;

type Bound = { readonly name: string; readonly value: bigint; shown: boolean };

// Hexadecimal of a negative word and of the same number in 64 bits differ, so then they are different numbers.
function word(n: number): bigint {
  const wide = BigInt(n);
  return isSmall(wide) ? wide : BigInt(n >>> 0);
}

/** `smin=smin32=0,smax=umax=smax32=umax32=255`: bounds that say something, equal ones joined. */
function boundsText(reg: Reg): string {
  const bounds: Bound[] = [
    { name: 'smin', value: reg.smin, shown: reg.smin !== S64_MIN },
    { name: 'smax', value: reg.smax, shown: reg.smax !== S64_MAX },
    { name: 'umin', value: reg.umin, shown: reg.umin !== 0n },
    { name: 'umax', value: reg.umax, shown: reg.umax !== U64_MAX },
    { name: 'smin32', value: word(reg.s32min), shown: reg.s32min !== S32_MIN },
    { name: 'smax32', value: word(reg.s32max), shown: reg.s32max !== S32_MAX },
    { name: 'umin32', value: BigInt(reg.u32min), shown: reg.u32min !== 0 },
    { name: 'umax32', value: BigInt(reg.u32max), shown: reg.u32max !== U32_MAX },
  ];
  const parts: string[] = [];
  bounds.forEach((first, i) => {
    if (!first.shown) return;
    let text = `${first.name}=`;
    // Minima stand at even places, maxima at odd ones.
    for (let k = i + 2; k < bounds.length; k += 2) {
      const other = bounds[k] as Bound;
      if (!other.shown || other.value !== first.value) continue;
      other.shown = false;
      text += `${other.name}=`;
    }
    parts.push(text + (first.name.startsWith('s') ? signedText(first.value) : unsignedText(first.value)));
  });
  return parts.join(',');
}

/** One register or spilled value; `frame` is the number of the frame that is printed. */
export function regText(reg: Reg, frame = 0): string {
  const { type } = reg;
  const precise = type === SCALAR_VALUE && reg.precise ? 'P' : '';
  const isConst = reg.mask === 0n;
  if (type === SCALAR_VALUE && isConst) return precise + signedText(BigInt.asIntN(64, reg.value));
  let name = typeName(type);
  if (type === PTR_TO_ARENA) return name;
  if (type === PTR_TO_STACK) {
    if (reg.frame !== frame) name += `[${reg.frame}]`;
    if (isConst) return name + signedText(BigInt.asIntN(64, reg.value + BigInt(reg.off)));
  }
  const kind = type & BASE;
  if (kind === PTR_TO_BTF_ID) name += reg.btfName;
  const parts: string[] = [];
  if (reg.id !== 0) {
    const distance = (reg.id & BPF_ADD_CONST) === 0 ? '' : reg.off < 0 ? `${reg.off}` : `+${reg.off}`;
    parts.push(`id=${reg.id & ~BPF_ADD_CONST}${distance}`);
  }
  if (reg.refId !== 0) parts.push(`ref_obj_id=${reg.refId}`);
  if ((kind === CONST_PTR_TO_MAP || kind === PTR_TO_MAP_VALUE || kind === PTR_TO_MAP_KEY) && reg.map !== undefined) {
    if (reg.map.name !== '') parts.push(`map=${reg.map.name}`);
    parts.push(`ks=${reg.map.keySize},vs=${reg.map.valueSize}`);
  }
  if (type !== SCALAR_VALUE && reg.off !== 0) parts.push(`off=${signedText(BigInt(reg.off))}`);
  if (isPacketPointer(type)) parts.push(`r=${unsignedText(BigInt(reg.range))}`);
  if (kind === PTR_TO_MEM) parts.push(`sz=${unsignedText(BigInt(reg.memSize))}`);
  if (type === CONST_PTR_TO_DYNPTR) parts.push(`type=${reg.dynptrKind}`);
  if (isConst) {
    if (reg.value !== 0n) parts.push(`imm=${signedText(BigInt.asIntN(64, reg.value))}`);
  } else {
    const bounds = boundsText(reg);
    if (bounds !== '') parts.push(bounds);
    if (reg.mask !== U64_MAX) parts.push(`var_off=${tnumText(reg.value, reg.mask)}`);
  }
  return `${precise}${name}(${parts.join(',')})`;
}
