/** Kernel expressions as `nft --debug=netlink` prints them: one `[ name ... ]` per expression. */
import * as uapi from '../../../wire/uapi/nf-tables.ts';
import type { Data, KernelExpr } from './types.ts';

const META: readonly string[] =
  'len protocol priority mark iif oif iifname oifname iiftype oiftype skuid skgid nftrace rtclassid secmark nfproto l4proto bri_iifname bri_oifname pkttype cpu iifgroup oifgroup cgroup prandom secpath iifkind oifkind bri_iifpvid bri_iifvproto time day hour sdif sdifname broute'.split(
    ' ',
  );
const CT: readonly string[] =
  'state direction status mark secmark expiration helper l3protocol src dst protocol proto_src proto_dst label packets bytes avgpkt zone event src_ip dst_ip src_ip6 dst_ip6 ct_id'.split(
    ' ',
  );
const CMP: readonly string[] = ['eq', 'neq', 'lt', 'lte', 'gt', 'gte'];
const BASES: readonly string[] = ['link', 'network', 'transport', 'inner'];
const VERDICTS: ReadonlyMap<number, string> = new Map([
  [0, 'drop'],
  [1, 'accept'],
  [2, 'stolen'],
  [3, 'queue'],
  [4, 'repeat'],
  [uapi.NFT_CONTINUE, 'continue'],
  [uapi.NFT_BREAK, 'break'],
  [uapi.NFT_JUMP, 'jump'],
  [uapi.NFT_GOTO, 'goto'],
  [uapi.NFT_RETURN, 'return'],
]);
const FAMILIES: ReadonlyMap<number, string> = new Map([
  [2, 'ip'],
  [10, 'ip6'],
  [1, 'inet'],
]);
const UNITS: ReadonlyMap<bigint, string> = new Map([
  [1n, 'second'],
  [60n, 'minute'],
  [3600n, 'hour'],
  [86_400n, 'day'],
  [604_800n, 'week'],
]);
const FIB_FLAGS: readonly (readonly [number, string])[] = [
  [1, 'saddr'],
  [2, 'daddr'],
  [4, 'mark'],
  [8, 'iif'],
  [16, 'oif'],
];
const LOG_FLAGS: readonly (readonly [number, string])[] = [
  [1, 'tcpseq'],
  [2, 'tcpopt'],
  [4, 'ipopt'],
  [8, 'uid'],
  [0x20, 'macdecode'],
];

/** Little-endian 32 bit words of register bytes. */
function words(bytes: Uint8Array): string[] {
  const out: string[] = [];
  for (let at = 0; at < bytes.length; at += 4) {
    let word = 0;
    for (let i = 3; i >= 0; i--) word = word * 256 + (bytes[at + i] ?? 0);
    out.push(word.toString(16).padStart(8, '0'));
  }
  return out;
}

/** `0x00001600 0x...` */
export function debugBytes(bytes: Uint8Array): string {
  return words(bytes)
    .map((word) => `0x${word}`)
    .join(' ');
}

function data(value: Data): string {
  if ('value' in value) return debugBytes(value.value);
  const { code, chain } = value.verdict;
  const name = VERDICTS.get(code) ?? 'unknown';
  return chain === undefined ? name : `${name} -> ${chain}`;
}

function natRegs(e: { addrMin?: number; addrMax?: number; protoMin?: number; protoMax?: number }): string {
  let out = '';
  if (e.addrMin) out += `addr_min reg ${e.addrMin} `;
  if (e.addrMax) out += `addr_max reg ${e.addrMax} `;
  if (e.protoMin) out += `proto_min reg ${e.protoMin} `;
  if (e.protoMax) out += `proto_max reg ${e.protoMax} `;
  return out;
}

const hex = (n: number): string => `0x${n.toString(16)}`;

/** The text between the brackets, without them. */
function body(e: KernelExpr): string {
  switch (e.name) {
    case 'immediate':
      return `immediate reg ${e.dreg} ${data(e.data)} `;
    case 'cmp':
      return `cmp ${CMP[e.op]} reg ${e.sreg} ${debugBytes(e.data)} `;
    case 'range':
      return `range ${e.op === uapi.NFT_RANGE_EQ ? 'eq' : 'neq'} reg ${e.sreg} ${debugBytes(e.from)} ${debugBytes(e.to)} `;
    case 'payload': {
      const at = `${e.len}b @ ${BASES[e.base] ?? 'unknown'} header + ${e.offset}`;
      if (e.dreg !== undefined) return `payload load ${at} => reg ${e.dreg} `;
      return `payload write reg ${e.sreg} => ${at} csum_type ${e.csumType} csum_off ${e.csumOffset} csum_flags ${hex(e.csumFlags)} `;
    }
    case 'exthdr': {
      // The tool's own name table ends before SCTP and DCCP.
      const op = ['ipv6 ', 'tcpopt ', 'ipv4 '][e.op] ?? '';
      const at = `${e.len}b @ ${e.type} + ${e.offset}`;
      if (e.dreg !== undefined)
        return `exthdr load ${op}${at}${e.flags & uapi.NFT_EXTHDR_F_PRESENT ? ' present' : ''} => reg ${e.dreg} `;
      if (e.sreg !== undefined) return `exthdr write ${op}reg ${e.sreg} => ${at} `;
      return `exthdr reset ${op}${e.type} `;
    }
    case 'meta':
      return e.dreg !== undefined
        ? `meta load ${META[e.key] ?? 'unknown'} => reg ${e.dreg} `
        : `meta set ${META[e.key] ?? 'unknown'} with reg ${e.sreg} `;
    case 'ct': {
      const dir = e.direction === undefined ? '' : `, dir ${e.direction === 0 ? 'original' : 'reply'} `;
      return e.dreg !== undefined
        ? `ct load ${CT[e.key] ?? 'unknown'} => reg ${e.dreg} ${dir}`
        : `ct set ${CT[e.key] ?? 'unknown'} with reg ${e.sreg} ${dir}`;
    }
    case 'rt':
      return `rt load ${['classid', 'nexthop4', 'nexthop6', 'tcpmss', 'ipsec'][e.key] ?? 'unknown'} => reg ${e.dreg} `;
    case 'socket':
      return `socket load ${['transparent', 'mark', 'wildcard', 'cgroupv2'][e.key] ?? 'unknown'}${e.level ? `, level ${e.level}` : ''} => reg ${e.dreg} `;
    case 'fib': {
      const flags = FIB_FLAGS.filter(([bit]) => e.flags & bit).map(([, name]) => name);
      const result = ['unspec', 'oif', 'oifname', 'type'][e.result] ?? 'unknown';
      return `fib ${flags.join(' . ')} ${result}${e.flags & uapi.NFTA_FIB_F_PRESENT ? ' present' : ''} => reg ${e.dreg} `;
    }
    case 'xfrm':
      return `xfrm load ${e.dir === 0 ? 'in' : 'out'} ${e.spnum} ${['unspec', 'daddr4', 'daddr6', 'saddr4', 'saddr6', 'reqid', 'spi'][e.key]} => reg ${e.dreg} `;
    case 'osf':
      return `osf dreg ${e.dreg} `;
    case 'numgen':
      return `numgen reg ${e.dreg} = ${e.type === uapi.NFT_NG_INCREMENTAL ? 'inc' : 'random'} mod ${e.modulus} ${e.offset ? `offset ${e.offset} ` : ''}`;
    case 'hash':
      if (e.type === uapi.NFT_HASH_SYM)
        return `hash reg ${e.dreg} = symhash() % mod ${e.modulus} ${e.offset ? `offset ${e.offset} ` : ''}`;
      return `hash reg ${e.dreg} = jhash(reg ${e.sreg}, ${e.len}, ${hex(e.seed ?? 0)}) % mod ${e.modulus} ${e.offset ? `offset ${e.offset} ` : ''}`;
    case 'bitwise':
      if (e.op === uapi.NFT_BITWISE_MASK_XOR)
        return `bitwise reg ${e.dreg} = ( reg ${e.sreg} & ${debugBytes(e.mask!)} ) ^ ${debugBytes(e.xor!)} `;
      if (e.sreg2 !== undefined)
        return `bitwise reg ${e.dreg} = ( reg ${e.sreg} ${['&', '|', '^'][e.op - uapi.NFT_BITWISE_AND] ?? '?'} reg ${e.sreg2} ) `;
      return `bitwise reg ${e.dreg} = ( reg ${e.sreg} ${e.op === uapi.NFT_BITWISE_LSHIFT ? '<<' : '>>'} ${debugBytes(e.data!)} ) `;
    case 'inner':
      return `inner type ${e.type} hdrsize ${e.hdrsize} flags ${e.flags.toString(16)} ${debugExpr(e.expr)} `;
    case 'tunnel':
      return `tunnel load ${['path', 'id'][e.key] ?? 'unknown'} => reg ${e.dreg} `;
    case 'byteorder':
      return `byteorder reg ${e.dreg} = ${e.op === uapi.NFT_BYTEORDER_HTON ? 'hton' : 'ntoh'}(reg ${e.sreg}, ${e.size}, ${e.len}) `;
    case 'lookup':
      return `lookup reg ${e.sreg} set ${e.set} ${e.dreg === undefined ? '' : `dreg ${e.dreg} `}${e.flags ? `${hex(e.flags)} ` : ''}`;
    case 'dynset': {
      const op = ['add', 'update', 'delete'][e.op];
      const timeout = e.timeout === undefined ? '' : `timeout ${e.timeout}ms `;
      const sdata = e.sregData === undefined ? '' : `sreg_data ${e.sregData} `;
      return `dynset ${op} reg_key ${e.sregKey} set ${e.set} ${sdata}${timeout}${e.exprs.map((x) => `expr [ ${body(x)}] `).join('')}`;
    }
    case 'counter':
      return `counter pkts ${e.packets} bytes ${e.bytes} `;
    case 'quota':
      return `quota bytes ${e.bytes} consumed ${e.consumed} flags ${e.flags} `;
    case 'limit':
      return `limit rate ${e.rate}/${UNITS.get(e.unit) ?? 'error'} burst ${e.burst} type ${e.type === uapi.NFT_LIMIT_PKTS ? 'packets' : 'bytes'} flags ${hex(e.flags)} `;
    case 'connlimit':
      return `connlimit count ${e.count} flags ${e.flags.toString(16)} `;
    case 'last':
      return e.set ? `last ${e.msecs} ` : 'last never ';
    case 'log': {
      let out = 'log ';
      if (e.prefix !== undefined) out += `prefix ${e.prefix} `;
      if (e.group !== undefined) out += `group ${e.group} snaplen ${e.snaplen ?? 0} qthreshold ${e.qthreshold ?? 0} `;
      else {
        if (e.level !== undefined) out += `level ${e.level} `;
        for (const [bit, name] of LOG_FLAGS) if ((e.flags ?? 0) & bit) out += `${name} `;
      }
      return out;
    }
    case 'reject':
      return `reject type ${e.type} code ${e.code} `;
    case 'nat':
      return `nat ${e.type === uapi.NFT_NAT_SNAT ? 'snat' : 'dnat'} ${FAMILIES.get(e.family) ?? 'unknown'} ${natRegs(e)}${e.flags ? `flags ${hex(e.flags)} ` : ''}`;
    case 'masq':
    case 'redir': {
      const flags = e.flags ? `flags ${hex(e.flags)} ` : '';
      return `${e.name} ${natRegs(e)}${flags}`;
    }
    case 'tproxy':
      return `tproxy ${e.family ? `${FAMILIES.get(e.family)} ` : ''}${e.addr ? `addr reg ${e.addr} ` : ''}${e.port ? `port reg ${e.port} ` : ''}`;
    case 'synproxy':
      return `synproxy mss ${e.mss} wscale ${e.wscale} `;
    case 'queue': {
      const flags = `${e.flags & 1 ? 'bypass ' : ''}${e.flags & 2 ? 'fanout ' : ''}`;
      if (e.sreg !== undefined) return `queue sreg_qnum ${e.sreg} ${flags}`;
      const num = e.num ?? 0;
      const total = e.total ?? 1;
      return `queue num ${num}${total > 1 ? `-${num + total - 1}` : ''} ${flags}`;
    }
    case 'dup':
      return `dup ${e.addr ? `sreg_addr ${e.addr} ` : ''}${e.dev ? `sreg_dev ${e.dev} ` : ''}`;
    case 'fwd':
      return `fwd sreg_dev ${e.dev} ${e.addr ? `sreg_addr ${e.addr} ` : ''}${e.nfproto ? `nfproto ${e.nfproto} ` : ''}`;
    case 'notrack':
      return 'notrack ';
    case 'objref':
      return e.sreg === undefined ? `objref type ${e.type} name ${e.object} ` : `objref sreg ${e.sreg} set ${e.set} `;
    case 'flow_offload':
      return `flow_offload flowtable ${e.table} `;
    case 'match':
    case 'target':
      return `${e.name} name ${e.xt} rev ${e.rev} `;
    case 'other':
      return `${e.kernel} `;
  }
}

/** `[ payload load 2b @ transport header + 2 => reg 1 ]` */
export function debugExpr(e: KernelExpr): string {
  return `[ ${body(e)}]`;
}

/** The element line of a set dump: key, data, flags. */
export function debugElement(element: {
  readonly key?: Uint8Array;
  readonly keyEnd?: Uint8Array;
  readonly data?: Data;
  readonly flags: number;
}): string {
  let out = 'element ';
  if (element.key !== undefined) out += words(element.key).join(' ');
  if (element.keyEnd !== undefined) out += `  - ${words(element.keyEnd).join(' ')}`;
  out += '  : ';
  if (element.data !== undefined)
    out += `${'value' in element.data ? words(element.data.value).join(' ') : data(element.data)} `;
  return `${out}${element.flags} [end]`;
}
