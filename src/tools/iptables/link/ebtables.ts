/** ebtables (its nf_tables face): what is compared natively, user chains with policies, `--limit`, and listings. */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { KernelExpr } from '../../nft/expr/types.ts';
import { problem } from '../errors.ts';
import { ebtMark, ebtPkttype } from '../ext/ebt-matches.ts';
import { limit, rateOf, SCALE } from '../ext/limit.ts';
import type { Context, Extension, Use } from '../extension.ts';
import type { Face } from '../iptables.ts';
import { noSets } from '../set-names.ts';
import { number } from '../values.ts';
import { macText, maskedMac } from './mac.ts';
import type { LinkOption } from './parse.ts';
import type { LinkProgram } from './program.ts';
import { fromLinkKernel, type Layout, LENGTH_TYPE, type LinkRule, toLinkKernel } from './rule.ts';
import { linkPolicy, plainRules } from './tool.ts';

const LL = U.NFT_PAYLOAD_LL_HEADER;
const LAYOUT: Layout = {
  devices: [
    { key: 'i', meta: U.NFT_META_IIFNAME },
    { key: 'o', meta: U.NFT_META_OIFNAME },
    { key: '-logical-in', meta: U.NFT_META_BRI_IIFNAME },
    { key: '-logical-out', meta: U.NFT_META_BRI_OIFNAME },
  ],
  fields: [
    { key: 's', base: LL, offset: 6, length: 6 },
    { key: 'd', base: LL, offset: 0, length: 6 },
    { key: 'proto', base: LL, offset: 12, length: 2 },
  ],
};

/** /etc/ethertypes, as far as ebtables brings it. */
const PROTOCOLS: readonly (readonly [string, number])[] = [
  ['IPv4', 0x0800],
  ['ARP', 0x0806],
  ['802_1Q', 0x8100],
  ['802_1ad', 0x88a8],
  ['IPv6', 0x86dd],
  ['PPP_DISC', 0x8863],
  ['PPP_SES', 0x8864],
  ['LOOP', 0x0060],
];
const ALIASES: Readonly<Record<string, number>> = { ip: 0x0800, ipv6: 0x86dd, ip6: 0x86dd, vlan: 0x8100 };

function protocol(text: string): number | undefined {
  const lower = text.toLowerCase();
  const named = PROTOCOLS.find(([name]) => name.toLowerCase() === lower)?.[1] ?? ALIASES[lower];
  return named ?? (/^(0x)?[0-9a-f]+$/.test(lower) ? Number.parseInt(lower, 16) : number(text, 0xffff));
}

const device = (key: string, names: string[]): LinkOption => ({
  names,
  parse(rule, name, invert) {
    if (name.length > 15) throw problem(`interface name \`${name}' must be shorter than 16 characters`);
    if (name !== '+' || invert) rule.devices.set(key, { name, invert });
  },
});
const mac = (key: 's' | 'd', names: string[]): LinkOption => ({
  names,
  parse: (rule, value, invert) => {
    const what = `Problem with specified ${key === 's' ? 'source' : 'destination'} mac`;
    rule.fields.set(key, { ...maskedMac(value, what), invert });
  },
});

const OPTIONS: readonly LinkOption[] = [
  {
    names: ['-p', '--proto', '--protocol'],
    parse(rule, value, invert) {
      if (value.toLowerCase() === 'length') {
        rule.fields.set('proto', { value: new Uint8Array(2), mask: new Uint8Array(2), invert });
        return;
      }
      const type = protocol(value);
      if (type === undefined)
        throw problem(`Problem with the specified Ethernet protocol '${value}', perhaps /etc/ethertypes is missing`);
      if (type < LENGTH_TYPE) throw problem('Sorry, protocols have values above or equal to 0x0600');
      rule.fields.set('proto', { value: Uint8Array.of(type >> 8, type & 255), mask: Uint8Array.of(255, 255), invert });
    },
  },
  mac('s', ['-s', '--src', '--source']),
  mac('d', ['-d', '--dst', '--destination']),
  device('i', ['-i', '--in-interface', '--in-if']),
  device('o', ['-o', '--out-interface', '--out-if']),
  device('-logical-in', ['--logical-in']),
  device('-logical-out', ['--logical-out']),
];

/** Hooks by chain name, for the devices that a frame has there. */
const NO_IN: readonly string[] = ['OUTPUT', 'POSTROUTING'];
const NO_OUT: readonly string[] = ['INPUT', 'PREROUTING', 'BROUTING'];

/** Complaints about devices that a frame does not have in a base chain. */
export function checkDevices(rule: LinkRule, chain: string): void {
  if (rule.devices.has('i') && NO_IN.includes(chain))
    throw problem('Use -i only in INPUT, FORWARD, PREROUTING and BROUTING chains');
  if (rule.devices.has('-logical-in') && NO_IN.includes(chain))
    throw problem('Use --logical-in only in INPUT, FORWARD, PREROUTING and BROUTING chains');
  if (rule.devices.has('o') && NO_OUT.includes(chain))
    throw problem('Use -o only in OUTPUT, FORWARD and POSTROUTING chains');
  if (rule.devices.has('-logical-out') && NO_OUT.includes(chain))
    throw problem('Use --logical-out only in OUTPUT, FORWARD and POSTROUTING chains');
}

const CONTEXT: Context = {
  family: 4,
  table: '',
  proto: 0,
  protoInvert: false,
  ext: '',
  opt: '',
  seen: new Set<string>(),
  next: () => undefined,
  user: () => undefined,
  group: () => undefined,
  sets: noSets,
  warn: () => {},
};

function protoText(value: Uint8Array, mask: Uint8Array): string {
  if (mask[0] === 0) return 'Length';
  const type = (value[0] << 8) | value[1];
  return PROTOCOLS.find(([, code]) => code === type)?.[0] ?? `0x${type.toString(16)}`;
}

const MATCHES: readonly Extension<object>[] = [limit, ebtMark, ebtPkttype];
/** Type, length and value of the userdata that marks the rule of a chain's policy. */
const POLICY_UDATA: Uint8Array = Uint8Array.of(1, 4, 1, 0, 0, 0);

function limitExpr(use: Use): KernelExpr[] | undefined {
  if (use.ext !== limit) return undefined;
  const { avg, burst } = use.state as { avg: number; burst: number };
  const { rate, unit } = rateOf(avg, SCALE);
  return [{ name: 'limit', rate: BigInt(rate), unit: BigInt(unit), burst, type: U.NFT_LIMIT_PKTS, flags: 0 }];
}

export function ebtables(face: Face): LinkProgram {
  const not = (option: string, invert: boolean, value: string): string =>
    face.recent ? `${invert ? ' !' : ''} ${option} ${value}` : ` ${option}${invert ? ' !' : ''} ${value}`;
  const text = (rule: LinkRule): string => {
    let out = '';
    const proto = rule.fields.get('proto');
    if (proto) out += not('-p', proto.invert, protoText(proto.value, proto.mask));
    for (const key of ['s', 'd']) {
      const match = rule.fields.get(key);
      if (match) out += not(`-${key}`, match.invert, macText(match.value, match.mask, true));
    }
    for (const key of ['i', '-logical-in', 'o', '-logical-out']) {
      const match = rule.devices.get(key);
      if (match) out += not(`-${key}`, match.invert, match.name);
    }
    for (const use of rule.uses) {
      const given = use.ext.save(use.state, CONTEXT);
      // 1.8.11 writes "!" before the option.
      const saved = face.recent ? given.replaceAll(/ (--[a-z0-9_-]+) !/g, ' ! $1') : given;
      out += use.ext === limit && !saved.includes('--limit-burst') ? `${saved} --limit-burst 5` : saved;
    }
    const t = rule.target;
    if (t === undefined) return `${out} -j CONTINUE`;
    return `${out} -j ${'verdict' in t ? t.verdict : 'chain' in t ? t.chain : t.use.ext.name + t.use.ext.save(t.use.state, CONTEXT)}`;
  };
  const base = (name: string, hook: number, priority: number) => ({ name, hook, priority, type: 'filter' as const });
  return {
    tables: ['filter', 'nat'],
    dialect: {
      nfproto: 7,
      builtIn: (table) =>
        table === 'filter'
          ? [base('INPUT', 1, -200), base('FORWARD', 2, -200), base('OUTPUT', 3, -200)]
          : table === 'nat'
            ? [base('PREROUTING', 0, -300), base('OUTPUT', 3, 100), base('POSTROUTING', 4, 300)]
            : undefined,
      toKernel: (rule) => toLinkKernel(rule, LAYOUT, limitExpr),
      fromKernel(exprs, userdata) {
        const rule = fromLinkKernel(exprs, LAYOUT, (e) => {
          if (e.name === 'match') {
            const ext = MATCHES.find((one) => one !== limit && one.name === e.xt && one.revision === e.rev);
            const state = ext?.codec.decode(e.info);
            return ext && state && { ext, state };
          }
          if (e.name !== 'limit' || e.rate === 0n) return undefined;
          const state = {
            ...(limit.codec.zero() as object),
            avg: Number((BigInt(SCALE) * e.unit) / e.rate),
            burst: e.burst,
          };
          return { ext: limit, state };
        });
        rule.policy = userdata !== undefined && userdata[0] === 1;
        return rule;
      },
      userdata: (rule) => (rule.policy ? POLICY_UDATA : undefined),
      compat(rule) {
        const proto = rule.fields.get('proto');
        return proto === undefined
          ? { proto: 0, invert: false }
          : { proto: (proto.value[0] << 8) | proto.value[1], invert: proto.invert };
      },
      uses: (rule) => rule.uses,
    },
    syntax: {
      program: 'ebtables',
      options: OPTIONS,
      matches: MATCHES,
      targets: [],
      verdicts: ['ACCEPT', 'DROP', 'RETURN', 'CONTINUE'],
      deprecated: false,
      proto: () => 0,
      check: checkDevices,
    },
    style: {
      program: 'ebtables',
      stop: '',
      userPolicies: true,
      text,
      verbose: (rule) => text(rule).trimStart(),
      list(session, cmd, chains) {
        let out = `Bridge table: ${cmd.table}\n`;
        for (const chain of chains) {
          const rules = plainRules(session, cmd.table, chain);
          out += `\nBridge chain: ${chain.name}, entries: ${rules.length}, policy: ${linkPolicy(session, cmd.table, chain)}\n`;
          rules.forEach(({ rule }, i) => {
            const counts = cmd.counters ? ` , pcnt = ${rule.packets} -- bcnt = ${rule.bytes}` : '';
            out += `${cmd.lineNumbers ? `${i + 1} ` : ''}${text(rule).trimStart()}${counts}\n`;
          });
        }
        return out;
      },
    },
  };
}
