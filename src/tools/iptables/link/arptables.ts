/** arptables (its nf_tables face): options, tables and listings. */
import { formatAddress, maskLength, parseIpv4 } from '../../../wire/address.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { type ArpMangle, arpMangle } from '../../../wire/xt/arp-mangle-target.ts';
import { problem } from '../errors.ts';
import { MARK } from '../ext/mark-target.ts';
import { NFLOG } from '../ext/nflog.ts';
import { CLASSIFY } from '../ext/small-targets.ts';
import type { Extension, Option, Use } from '../extension.ts';
import { bang } from '../extension.ts';
import type { Face } from '../iptables.ts';
import { noSets } from '../set-names.ts';
import { masked, maskText, number } from '../values.ts';
import { macText, maskedMac, parseMacBytes } from './mac.ts';
import type { LinkOption } from './parse.ts';
import type { LinkProgram } from './program.ts';
import { type FieldMatch, fromLinkKernel, type Layout, type LinkRule, toLinkKernel } from './rule.ts';
import { linkPolicy, plainRules } from './tool.ts';

const NET = U.NFT_PAYLOAD_NETWORK_HEADER;
const field = (key: string, offset: number, length: number): Layout['fields'][number] => ({
  key,
  base: NET,
  offset,
  length,
});

const LAYOUT: Layout = {
  devices: [
    { key: 'i', meta: U.NFT_META_IIFNAME },
    { key: 'o', meta: U.NFT_META_OIFNAME },
  ],
  fields: [
    field('htype', 0, 2),
    field('ptype', 2, 2),
    field('hlen', 4, 1),
    field('plen', 5, 1),
    field('opcode', 6, 2),
    field('smac', 8, 6),
    field('s', 14, 4),
    field('dmac', 18, 6),
    field('d', 24, 4),
  ],
};

type Mangle = ArpMangle;
const ACCEPT = 1;
const CONTINUE = 0xffffffff;

const mangleIp = (name: string, key: 'srcIp' | 'dstIp', bit: number): Option<Mangle> => ({
  name,
  parse(s, value) {
    const ip = parseIpv4(value);
    if (ip === undefined) throw problem(`Bad value "${value}" for --${name}`);
    s[key] = ip;
    s.flags |= bit;
  },
});
const mangleMac = (name: string, key: 'srcMac' | 'dstMac', bit: number): Option<Mangle> => ({
  name,
  parse(s, value) {
    const mac = parseMacBytes(value);
    if (mac === undefined) throw problem(`Bad value "${value}" for --${name}`);
    s[key].set(mac);
    s.flags |= bit;
  },
});
const full6: Uint8Array = new Uint8Array(6).fill(0xff);

const mangle: Extension<Mangle> = {
  kind: 'target',
  name: 'mangle',
  revision: 0,
  codec: arpMangle,
  init(s) {
    s.target = ACCEPT;
  },
  options: [
    mangleIp('mangle-ip-s', 'srcIp', 4),
    mangleIp('mangle-ip-d', 'dstIp', 8),
    mangleMac('mangle-mac-s', 'srcMac', 1),
    mangleMac('mangle-mac-d', 'dstMac', 2),
    {
      name: 'mangle-target',
      parse(s, value) {
        if (value === 'DROP') s.target = 0;
        else if (value === 'ACCEPT') s.target = ACCEPT;
        else if (value === 'CONTINUE') s.target = CONTINUE;
        else throw problem(`bad target for --mangle-target`);
      },
    },
  ],
  save(s) {
    let out = '';
    if (s.flags & 4) out += ` --mangle-ip-s ${formatAddress(s.srcIp)}`;
    if (s.flags & 1) out += ` --mangle-mac-s ${macText(s.srcMac.subarray(0, 6), full6, false)}`;
    if (s.flags & 8) out += ` --mangle-ip-d ${formatAddress(s.dstIp)}`;
    if (s.flags & 2) out += ` --mangle-mac-d ${macText(s.dstMac.subarray(0, 6), full6, false)}`;
    if (s.target !== ACCEPT) out += ` --mangle-target ${s.target === 0 ? 'DROP' : 'CONTINUE'}`;
    return out;
  },
  print: () => '',
};

const TARGETS: readonly Extension<object>[] = [mangle, MARK, CLASSIFY, NFLOG];
const OPCODES: readonly string[] = [
  'Request',
  'Reply',
  'Request_Reverse',
  'Reply_Reverse',
  'DRARP_Request',
  'DRARP_Reply',
  'DRARP_Error',
  'InARP_Request',
  'ARP_NAK',
];

const be = (value: number, length: number): Uint8Array =>
  length === 1 ? Uint8Array.of(value) : Uint8Array.of(value >> 8, value & 255);

/** "value[/mask]" of one or two bytes. */
function numberField(
  text: string,
  length: number,
  what: string,
  named: (word: string) => number | undefined,
  radix = 10,
): FieldMatch {
  const [word, mask] = text.split('/');
  const read = (part: string): number | undefined =>
    radix === 16 && /^[0-9a-fA-F]+$/.test(part) ? Number.parseInt(part, 16) : number(part, length === 1 ? 255 : 65535);
  const value = named(word) ?? read(word);
  const maskValue = mask === undefined ? (length === 1 ? 255 : 65535) : read(mask);
  if (value === undefined || maskValue === undefined) throw problem(`Problem with specified ${what}`);

  return { value: be(value, length), mask: be(maskValue, length), invert: false };
}

function addressOption(key: 's' | 'd', names: string[]): LinkOption {
  return {
    names,
    parse(rule, value, invert) {
      const { address, mask } = masked(value, 4);
      if (!invert && mask.every((byte) => byte === 0)) return;
      rule.fields.set(key, { value: address, mask, invert });
    },
  };
}
function macOption(key: 'smac' | 'dmac', names: string[], what: string): LinkOption {
  return {
    names,
    parse: (rule, value, invert) => {
      rule.fields.set(key, { ...maskedMac(value, `Problem with specified ${what} mac`), invert });
    },
  };
}
const deviceOption = (key: string, names: string[]): LinkOption => ({
  names,
  parse(rule, name, invert) {
    if (name.length > 15) throw problem(`interface name \`${name}' must be shorter than 16 characters`);
    if (name !== '+' || invert) rule.devices.set(key, { name, invert });
  },
});
const option = (
  key: string,
  names: string[],
  length: number,
  what: string,
  named: (word: string) => number | undefined,
  radix = 10,
): LinkOption => ({
  names,
  parse: (rule, value, invert) => {
    rule.fields.set(key, { ...numberField(value, length, what, named, radix), invert });
  },
});

const OPTIONS: readonly LinkOption[] = [
  addressOption('s', ['-s', '--source-ip', '--src-ip']),
  addressOption('d', ['-d', '--destination-ip', '--dst-ip']),
  macOption('smac', ['--source-mac', '--src-mac'], 'source'),
  macOption('dmac', ['--destination-mac', '--dst-mac'], 'destination'),
  deviceOption('i', ['-i', '--in-interface']),
  deviceOption('o', ['-o', '--out-interface']),
  {
    names: ['-l', '--h-length'],
    parse(rule, value, invert) {
      const match = numberField(value, 1, 'hardware address length', () => undefined);
      if (match.value[0] !== 6) throw problem('Only harware address length of 6 is supported currently.');
      rule.fields.set('hlen', { ...match, invert });
    },
  },
  option('opcode', ['--opcode'], 2, 'opcode', (word) => {
    const at = OPCODES.findIndex((name) => name.toLowerCase() === word.toLowerCase());
    return at < 0 ? undefined : at + 1;
  }),
  option('htype', ['--h-type'], 2, 'hardware type', (word) => (word.toLowerCase() === 'ethernet' ? 1 : undefined), 16),
  option(
    'ptype',
    ['--proto-type'],
    2,
    'protocol type',
    (word) => (word.toLowerCase() === 'ipv4' ? 0x800 : undefined),
    10,
  ),
];

const word = (bytes: Uint8Array): number => (bytes.length === 1 ? bytes[0] : (bytes[0] << 8) | bytes[1]);

/** Fields as arguments; `names` writes words where there are some. */
function fieldsText(rule: LinkRule, face: Face, names: boolean, verbose: boolean): string {
  let out = '';
  const dev = (key: string): void => {
    const match = rule.devices.get(key);
    if (match) out += `${bang(match.invert)} -${key} ${match.name}`;
    else if (verbose) out += ` -${key} *`;
  };
  dev('i');
  dev('o');
  for (const [key, mac] of [
    ['s', 'smac'],
    ['d', 'dmac'],
  ] as const) {
    const ip = rule.fields.get(key);
    if (ip) {
      const whole = maskLength(ip.mask) === 32;
      out += `${bang(ip.invert)} -${key} ${formatAddress(ip.value)}${whole ? '' : maskText(ip.mask)}`;
    }
    const hw = rule.fields.get(mac);
    if (hw) out += `${bang(hw.invert)} --${key === 's' ? 'src' : 'dst'}-mac ${macText(hw.value, hw.mask, false)}`;
  }
  const numberText = (key: string, flag: string, hide: number, text: (value: number) => string): void => {
    const match = rule.fields.get(key);
    if (match === undefined) return;
    const value = word(match.value);
    const mask = word(match.mask);
    const plain = mask === (match.value.length === 1 ? 255 : 65535);
    if (!match.invert && value === hide && (plain || !face.recent)) return;
    const suffix =
      plain || !face.recent ? '' : key === 'hlen' || key === 'opcode' ? `/${mask}` : `/0x${mask.toString(16)}`;
    out += `${bang(match.invert)} --${flag} ${text(value)}${suffix}`;
  };
  numberText('hlen', 'h-length', 6, (value) => `${value}`);
  numberText('opcode', 'opcode', 0, (value) => (names ? (OPCODES[value - 1] ?? `${value}`) : `${value}`));
  numberText('htype', 'h-type', 1, (value) =>
    names && value === 1 ? 'Ethernet' : face.recent ? `0x${value.toString(16)}` : `${value}`,
  );
  numberText('ptype', 'proto-type', 0, (value) => (names && value === 0x800 ? 'IPv4' : `0x${value.toString(16)}`));
  return out;
}

function targetWord(rule: LinkRule): string {
  const t = rule.target;
  if (t === undefined) return '';
  return ` -j ${'verdict' in t ? t.verdict : 'chain' in t ? t.chain : t.use.ext.name}`;
}

const CONTEXT = {
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
} as const;

/** Options of the target. MARK is written in arptables' own way. */
function targetText(rule: LinkRule): string {
  const t = rule.target;
  if (t === undefined || !('use' in t)) return '';
  if (t.use.ext.name === 'MARK') {
    const { mark, mask } = t.use.state as { mark: number; mask: number };
    const hex = (value: number): string => (value >>> 0).toString(16);
    if (mask === 0xffffffff) return ` --set-mark ${hex(mark)}`;
    if (mark === 0) return ` --and-mark ${hex(~mask)}`;
    return ` --or-mark ${hex(mark)}`;
  }
  return t.use.ext.save(t.use.state, CONTEXT);
}

const hexMark = (
  name: string,
  set: (s: { mark: number; mask: number }, value: number) => void,
): Option<{ mark: number; mask: number }> => ({
  name,
  parse(s, value) {
    if (!/^(0[xX])?[0-9a-fA-F]+$/.test(value)) throw problem(`Bad MARK value "${value}"`);
    set(s, Number.parseInt(value, 16));
  },
});
/** MARK with numbers in base 16, as arptables reads them. */
const ARP_MARK: Extension<object> = {
  ...MARK,
  options: [
    hexMark('set-mark', (s, value) => {
      s.mark = value;
      s.mask = 0xffffffff;
    }),
    hexMark('and-mark', (s, value) => {
      s.mark = 0;
      s.mask = ~value >>> 0;
    }),
    hexMark('or-mark', (s, value) => {
      s.mark = value;
      s.mask = value;
    }),
  ],
} as Extension<object>;

export function arptables(face: Face): LinkProgram {
  const targets = TARGETS.map((one) => (one.name === 'MARK' ? ARP_MARK : one));
  const text = (rule: LinkRule): string => targetWord(rule) + fieldsText(rule, face, false, false) + targetText(rule);
  const verbose = (rule: LinkRule, names = false): string =>
    (targetWord(rule) + fieldsText(rule, face, names, true) + targetText(rule)).trimStart();
  const uses = (rule: LinkRule): Use[] => (rule.target !== undefined && 'use' in rule.target ? [rule.target.use] : []);
  return {
    tables: ['filter'],
    dialect: {
      nfproto: 3,
      builtIn: (table) =>
        table === 'filter'
          ? [
              { name: 'INPUT', hook: 0, priority: 0, type: 'filter' },
              { name: 'OUTPUT', hook: 1, priority: 0, type: 'filter' },
            ]
          : undefined,
      toKernel(rule) {
        // Ethernet with IPv4 addresses, unless the rule says otherwise: what the offsets of the fields rest on.
        const fields = new Map(rule.fields);
        const implied = (key: string, value: Uint8Array): void => {
          if (!fields.has(key)) fields.set(key, { value, mask: value.map(() => 0xff), invert: false });
        };
        implied('htype', Uint8Array.of(0, 1));
        implied('hlen', Uint8Array.of(6));
        implied('plen', Uint8Array.of(4));
        return toLinkKernel({ ...rule, fields }, LAYOUT, () => undefined);
      },
      fromKernel(exprs) {
        return fromLinkKernel(exprs, LAYOUT, (e) => {
          if (e.name !== 'target') return undefined;
          const ext = targets.find((one) => one.name === e.xt);
          const state = ext?.codec.decode(e.info);
          return ext && state ? { ext, state } : undefined;
        });
      },
      compat: () => ({ proto: 0, invert: false }),
      uses,
    },
    syntax: {
      program: 'arptables',
      options: OPTIONS,
      matches: [],
      targets,
      verdicts: ['ACCEPT', 'DROP', 'RETURN'],
      deprecated: true,
      proto: () => 0,
    },
    style: {
      program: 'arptables',
      stop: '.',
      userPolicies: false,
      text,
      verbose: (rule) => verbose(rule),
      list(session, cmd, chains) {
        return chains
          .map((chain) => {
            const counts = cmd.verbose ? ` ${chain.packets} packets, ${chain.bytes} bytes` : '';
            let head = `Chain ${chain.name} (policy ${linkPolicy(session, cmd.table, chain)}${counts})\n`;
            if (chain.base === undefined) {
              let references = 0;
              for (const other of session.table(cmd.table).chains.values())
                for (const { rule } of session.rules(cmd.table, other))
                  if (rule.target && 'chain' in rule.target && rule.target.chain === chain.name) references++;
              head = `Chain ${chain.name} (${references} references)\n`;
            }
            const lines = plainRules(session, cmd.table, chain).map(({ rule }, i) => {
              const number = cmd.lineNumbers ? `${i + 1} ` : '';
              const body = cmd.verbose
                ? `${verbose(rule, !cmd.numeric)} , pcnt=${rule.packets} -- bcnt=${rule.bytes} `
                : (targetWord(rule) + fieldsText(rule, face, !cmd.numeric, false) + targetText(rule)).trimStart();
              return `${number}${body}\n`;
            });
            return head + lines.join('');
          })
          .join('\n');
      },
    },
  };
}
