/**
 * Suite `netfilter/iptables-oracle`: rule by rule, what iptables-nft 1.8.9 made of the arguments: refused or taken, the
 * kernel expressions it sent, and what iptables-save printed afterwards. Records of other tools are left out.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { World } from '../src/core/world.ts';
import { Nfnetlink } from '../src/netlink/nfnetlink.ts';
import { Host } from '../src/netns/host.ts';
import { readExpressions } from '../src/tools/iptables/codec.ts';
import { ip6tables, iptables } from '../src/tools/iptables/iptables.ts';
import { words } from '../src/tools/iptables/restore.ts';
import { saveText } from '../src/tools/iptables/save.ts';
import type { KernelExpr } from '../src/tools/nft/expr/types.ts';
import { AttrWriter, attrMap } from '../src/wire/netlink/attr.ts';
import { emitMessages, type NetlinkTransport } from '../src/wire/netlink/message.ts';
import {
  NFT_MSG_GETRULE,
  NFTA_RULE_CHAIN,
  NFTA_RULE_EXPRESSIONS,
  NFTA_RULE_TABLE,
} from '../src/wire/uapi/nf-tables.ts';
import type { CaseResult } from './suite.ts';

type Oracle = {
  readonly file: string;
  readonly line: number;
  readonly tool: string;
  readonly variant: string;
  readonly table: string;
  readonly chain: string;
  readonly args: string;
  readonly rc: number;
  readonly err?: string;
  readonly save?: readonly string[] | null;
  readonly bytecode?: readonly string[] | null;
};

/** Bytes as the 32-bit words that `nft --debug=netlink` prints. */
function registers(bytes: Uint8Array): string {
  const out: string[] = [];
  for (let i = 0; i < bytes.length; i += 4) {
    let word = 0;
    for (let k = 0; k < 4 && i + k < bytes.length; k++) word += bytes[i + k] * 2 ** (8 * k);
    out.push(`0x${word.toString(16).padStart(8, '0')}`);
  }
  return out.join(' ');
}

const META: Readonly<Record<number, string>> = { 3: 'mark', 6: 'iifname', 7: 'oifname', 16: 'l4proto' };
const BASES: readonly string[] = ['link', 'network', 'transport'];
const UNITS: Readonly<Record<string, string>> = { 1: 'second', 60: 'minute', 3600: 'hour', 86400: 'day' };
const VERDICTS: Readonly<Record<number, string>> = {
  0: 'drop',
  1: 'accept',
  [-3]: 'jump',
  [-4]: 'goto',
  [-5]: 'return',
};

function line(e: KernelExpr): string {
  switch (e.name) {
    case 'meta':
      return e.sreg === undefined
        ? `meta load ${META[e.key] ?? e.key} => reg ${e.dreg}`
        : `meta set nftrace with reg ${e.sreg}`;
    case 'cmp':
      return `cmp ${e.op === 1 ? 'neq' : 'eq'} reg ${e.sreg} ${registers(e.data)}`;
    case 'range':
      return `range ${e.op === 1 ? 'neq' : 'eq'} reg ${e.sreg} ${registers(e.from)} ${registers(e.to)}`;
    case 'payload':
      return `payload load ${e.len}b @ ${BASES[e.base]} header + ${e.offset} => reg ${e.dreg}`;
    case 'bitwise':
      return `bitwise reg ${e.dreg} = ( reg ${e.sreg} & ${registers(e.mask ?? new Uint8Array())} ) ^ ${registers(e.xor ?? new Uint8Array())}`;
    case 'counter':
      return `counter pkts ${e.packets} bytes ${e.bytes}`;
    case 'immediate': {
      if ('value' in e.data) return `immediate reg ${e.dreg} ${registers(e.data.value)}`;
      const { code, chain } = e.data.verdict;
      return `immediate reg ${e.dreg} ${VERDICTS[code]}${chain === undefined ? '' : ` -> ${chain}`}`;
    }
    case 'limit':
      return `limit rate ${e.rate}/${UNITS[`${e.unit}`]} burst ${e.burst} type packets flags 0x${e.flags.toString(16)}`;
    case 'log':
      return `log ${e.prefix ? `prefix ${e.prefix} ` : ''}group ${e.group} snaplen ${e.snaplen} qthreshold ${e.qthreshold}`;
    case 'match':
    case 'target':
      return `${e.name} name ${e.xt} rev ${e.rev}`;
    default:
      return e.name;
  }
}

/** The expressions of the last rule of a chain. */
function bytecode(netlink: NetlinkTransport, family: number, table: string, chain: string): string[] {
  const w = new AttrWriter()
    .raw(Uint8Array.of(family, 0, 0, 0))
    .string(NFTA_RULE_TABLE, table)
    .string(NFTA_RULE_CHAIN, chain);
  const message = { type: (10 << 8) | NFT_MSG_GETRULE, flags: 0x301, seq: 1, port: 0, payload: w.finish() };
  const rules = netlink
    .open(12)
    .send(emitMessages([message]))
    .filter((m) => m.type >> 8 === 10);
  const last = rules.at(-1);
  const exprs = last && attrMap(last.payload, 4).get(NFTA_RULE_EXPRESSIONS);
  return exprs === undefined ? [] : readExpressions(exprs.payload).map((e) => `[ ${line(e)} ]`);
}

/** What the kernel of the recording was built without. */
const ABSENT: readonly string[] = ['ipvs', 'LED', 'CLUSTERIP'];

function judge(id: string, record: Oracle): CaseResult {
  const { nftables } = new Host(new World({ slots: 64 }), 'host');
  for (const name of ABSENT) nftables.xt.absent.add(name);
  const nfnetlink = new Nfnetlink(nftables);
  const netlink: NetlinkTransport = { open: () => ({ send: (datagram) => nfnetlink.handle(datagram) }) };
  const six = record.tool === 'ip6tables';
  const tool = six ? ip6tables : iptables;
  const result = tool(['-t', record.table, '-A', record.chain, ...words(record.args)], { netlink });
  if (record.rc !== 0) {
    if (result.code === 0)
      return { id, ok: false, expected: record.err ?? `status ${record.rc}`, got: 'taken', reason: 'not refused' };
    return { id, ok: true };
  }
  if (result.code !== 0) return { id, ok: false, expected: 'taken', got: result.stderr.trim(), reason: 'refused' };
  const saved = saveText({ netlink }, six ? 6 : 4)
    .split('\n')
    .filter((text) => text.startsWith('-A'));
  const expected = [...(record.save ?? []), ...(record.bytecode ?? [])].join('\n');
  const got = [...saved, ...bytecode(netlink, six ? 10 : 2, record.table, record.chain)].join('\n');
  return expected === got ? { id, ok: true } : { id, ok: false, expected, got };
}

/** Judges every record of iptables and ip6tables below `root`. */
export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  for (const file of readdirSync(root).sort()) {
    let n = 0;
    for (const text of readFileSync(join(root, file), 'utf8').split('\n')) {
      if (text === '') continue;
      const record = JSON.parse(text) as Oracle;
      n++;
      if (record.variant !== 'nft' || (record.tool !== 'iptables' && record.tool !== 'ip6tables')) continue;
      const id = `${file}:${n} ${record.tool} ${record.args}`;
      if (filter && !filter.test(id)) continue;
      try {
        yield judge(id, record);
      } catch (error) {
        yield { id, ok: false, reason: (error as Error).stack ?? String(error) };
      }
    }
  }
}
