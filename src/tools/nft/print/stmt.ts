/**
 * Statements as text.
 */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { Expr, LimitStmt, NatStmt, Stmt } from '../ast.ts';
import type * as dt from '../datatype.ts';
import { ctKeys, metaKeys } from '../keys.ts';
import { formatTime } from '../time.ts';
import { expr, type PrintContext } from './expr.ts';

const UNITS: ReadonlyMap<bigint, string> = new Map([
  [1n, 'second'],
  [60n, 'minute'],
  [3600n, 'hour'],
  [86_400n, 'day'],
  [604_800n, 'week'],
]);
const LEVELS: readonly string[] = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug', 'audit'];
const LOGLEVEL_WARNING = 4;
/** Every flag of logging that the language knows. */
const LOG_ALL = 0x2f;
const NAT_FLAGS: readonly (readonly [number, string])[] = [
  [4, 'random'],
  [16, 'fully-random'],
  [8, 'persistent'],
];

/** A number of bytes in the largest unit that divides it. */
export function bytes(n: bigint): string {
  if (n > 0n && n % (1n << 20n) === 0n) return `${n >> 20n} mbytes`;
  if (n > 0n && n % 1024n === 0n) return `${n >> 10n} kbytes`;
  return `${n} bytes`;
}

export function limit(s: LimitStmt, o: dt.PrintOptions): string {
  const over = s.over ? 'over ' : '';
  const unit = UNITS.get(s.unit) ?? `${s.unit} seconds`;
  if (s.type === U.NFT_LIMIT_PKT_BYTES) {
    const burst = s.burst > 0 ? ` burst ${bytes(BigInt(s.burst))}` : '';
    return `limit rate ${over}${bytes(s.rate)}/${unit}${burst}`;
  }
  return `limit rate ${over}${s.rate}/${unit}${s.burst > 0 && (s.burst !== 5 || o.release === '1.1.0') ? ` burst ${s.burst} packets` : ''}`;
}

function log(s: Extract<Stmt, { kind: 'log' }>, o: PrintContext): string {
  let out = 'log';
  if (s.prefix) out += ` prefix ${expr(s.prefix, o)}`;
  if (s.group !== undefined) out += ` group ${s.group}`;
  if (s.group !== undefined && s.snaplen) out += ` snaplen ${s.snaplen}`;
  if (s.group !== undefined && s.qthreshold) out += ` queue-threshold ${s.qthreshold}`;
  if (s.group === undefined && s.level !== undefined && s.level !== LOGLEVEL_WARNING)
    out += ` level ${LEVELS[s.level] ?? s.level}`;
  const flags = s.flags ?? 0;
  if ((flags & LOG_ALL) === LOG_ALL) return `${out} flags all`;
  if ((flags & 3) !== 0)
    out += ` flags tcp ${[flags & 1 ? 'sequence' : '', flags & 2 ? 'options' : ''].filter(Boolean).join(',')}`;
  if (flags & 4) out += ' flags ip options';
  if (flags & 8) out += ' flags skuid';
  if (flags & 32) out += ' flags ether';
  return out;
}

/** An address beside a port: IPv6 ones in brackets. */
function address(e: Expr, bracket: boolean, o: PrintContext): string {
  if (!bracket) return expr(e, o);
  if (e.kind === 'range') return `[${expr(e.left, o)}]-[${expr(e.right, o)}]`;
  return `[${expr(e, o)}]`;
}

function nat(s: NatStmt, o: PrintContext): string {
  const words: Readonly<Record<NatStmt['nat'], string>> = {
    snat: 'snat',
    dnat: 'dnat',
    masq: 'masquerade',
    redir: 'redirect',
  };
  let out = words[s.nat];
  if (s.addr || s.proto) {
    if (s.familyWritten) out += s.family === 10 ? ' ip6' : ' ip';
    if (s.typeFlags & 1) out += ' prefix';
    out += ' to';
    if (s.addr) {
      const constant = s.addr.kind === 'value' || s.addr.kind === 'range' || s.addr.kind === 'prefix';
      out += ` ${address(s.addr, s.family === 10 && s.proto !== undefined && constant, o)}`;
    }
    if (s.proto) out += `${s.addr ? '' : ' '}:${expr(s.proto, o)}`;
  }
  const flags = NAT_FLAGS.filter(([bit]) => s.flags & bit).map(([, name]) => name);
  return flags.length > 0 ? `${out} ${flags.join(',')}` : out;
}

const OBJECTS: ReadonlyMap<number, string> = new Map([
  [1, 'counter'],
  [2, 'quota'],
  [3, 'ct helper'],
  [4, 'limit'],
  [6, 'tunnel'],
  [7, 'ct timeout'],
  [8, 'meta secmark'],
  [9, 'ct expectation'],
  [10, 'synproxy'],
]);

function objref(s: Extract<Stmt, { kind: 'objref' }>, o: PrintContext): string {
  const word = OBJECTS.get(s.type) ?? `object ${s.type}`;
  const set = s.type === 3 || s.type === 7 || s.type === 8 || s.type === 9;
  return `${word} ${set ? 'set' : 'name'} ${expr(s.expr, o)}`;
}

function reject(s: Extract<Stmt, { kind: 'reject' }>, o: PrintContext): string {
  if (s.type === U.NFT_REJECT_TCP_RST) return 'reject with tcp reset';
  if (s.code === undefined || s.icmp === undefined) return 'reject';
  const port = s.icmp === 'icmp' ? 3n : s.icmp === 'icmpv6' ? 4n : 1n;
  if (s.icmp === 'icmpx' && s.code.kind === 'value' && s.code.value === port) return 'reject';
  // Codes of a reject have names in every release.
  return `reject with ${s.icmp} ${expr(s.code, { ...o, release: '1.0.6' })}`;
}

/** A statement as `nft list` writes it. */
export function stmt(s: Stmt, o: PrintContext): string {
  switch (s.kind) {
    case 'expr':
    case 'verdict':
      return expr(s.expr, o);
    case 'counter':
      return o.stateless ? 'counter' : `counter packets ${s.packets} bytes ${s.bytes}`;
    case 'last':
      if (o.stateless) return 'last';
      return s.used === undefined ? 'last used never' : `last used ${formatTime(BigInt(s.used))}`;
    case 'connlimit':
      return `ct count ${s.over ? 'over ' : ''}${s.count}`;
    case 'quota': {
      const used = !o.stateless && s.used > 0n ? ` used ${bytes(s.used)}` : '';
      return `quota ${s.over ? 'over ' : ''}${bytes(s.bytes)}${used}`;
    }
    case 'limit':
      return limit(s, o);
    case 'log':
      return log(s, o);
    case 'reject':
      return reject(s, o);
    case 'nat':
      return nat(s, o);
    case 'tproxy': {
      const family = s.tableFamily === 1 && s.family ? (s.family === 10 ? ' ip6' : ' ip') : '';
      const addr = s.addr ? ` ${address(s.addr, s.family === 10 && s.addr.kind === 'value', o)}` : '';
      return `tproxy${family} to${addr}${s.port ? `${s.addr ? '' : ' '}:${expr(s.port, o)}` : ''}`;
    }
    case 'synproxy': {
      const mss = s.flags & 1 ? ` mss ${s.mss}` : '';
      const wscale = s.flags & 2 ? ` wscale ${s.wscale}` : '';
      return `synproxy${mss}${wscale}${s.flags & 8 ? ' timestamp' : ''}${s.flags & 4 ? ' sack-perm' : ''}`;
    }
    case 'queue': {
      const flags = [s.flags & 1 ? 'bypass' : '', s.flags & 2 ? 'fanout' : ''].filter(Boolean).join(',');
      return `queue${flags ? ` flags ${flags}` : ''} to ${s.queue ? expr(s.queue, o) : '0'}`;
    }
    case 'dup':
      return `dup to ${expr(s.to, o)}${s.dev ? ` device ${expr(s.dev, o)}` : ''}`;
    case 'fwd':
      return s.addr
        ? `fwd ${s.family === 10 ? 'ip6' : 'ip'} to ${expr(s.addr, o)} device ${expr(s.dev, o)}`
        : `fwd to ${expr(s.dev, o)}`;
    case 'notrack':
      return 'notrack';
    case 'metaset': {
      const name = metaKeys.find((k) => k.key === s.key)?.name ?? String(s.key);
      return `meta ${name} set ${expr(s.expr, o)}`;
    }
    case 'ctset': {
      const name = ctKeys.find((k) => k.key === s.key)?.name ?? String(s.key);
      const direction = s.direction === undefined ? '' : s.direction === 0 ? 'original ' : 'reply ';
      const value = expr(s.expr, o);
      return `ct ${direction}${name} set ${s.key === U.NFT_CT_EVENTMASK ? value.replaceAll(' | ', ',') : value}`;
    }
    case 'payloadset':
    case 'exthdrset':
      return `${expr(s.target, o)} set ${expr(s.expr, o)}`;
    case 'optstrip':
      return `reset ${expr(s.target, o)}`;
    case 'dynset': {
      const timeout = s.timeout ? ` timeout ${formatTime(BigInt(s.timeout))}` : '';
      const stmts = s.stmts.map((x) => ` ${stmt(x, { ...o, stateless: true })}`).join('');
      const data = s.data ? ` : ${expr(s.data, o)}` : '';
      return `${s.op} @${s.set.name} { ${expr(s.key, o)}${timeout}${stmts}${data} }`;
    }
    case 'meter':
      return `meter ${s.name}${s.size ? ` size ${s.size}` : ''} { ${expr(s.key, o)}${s.timeout ? ` timeout ${formatTime(BigInt(s.timeout))}` : ''} ${stmt(s.stmt, { ...o, stateless: true })} }`;
    case 'objref':
      return objref(s, o);
    case 'flowoffload':
      return `flow add @${s.name}`;
    case 'chainblock':
      return `${s.verdict} {\n${s.rules.map((rule) => `\t\t\t${rule.stmts.map((x) => stmt(x, o)).join(' ')}\n`).join('')}\t\t}`;
    case 'xt':
      return `xt ${s.type} "${s.name}"`;
  }
}
