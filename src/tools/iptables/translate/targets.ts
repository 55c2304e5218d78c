/** Translations of targets. */
import { formatAddress } from '../../../wire/address.ts';
import type { ClassifyTarget } from '../../../wire/xt/classify-target.ts';
import type { ConnmarkTarget } from '../../../wire/xt/connmark-target.ts';
import type { CtTarget } from '../../../wire/xt/ct-target.ts';
import type { DscpTarget } from '../../../wire/xt/dscp-target.ts';
import type { LogTarget } from '../../../wire/xt/log-target.ts';
import type { MarkTarget } from '../../../wire/xt/mark-target.ts';
import type { NflogTarget } from '../../../wire/xt/nflog-target.ts';
import type { NfqueueTarget } from '../../../wire/xt/nfqueue-target.ts';
import type { RejectTarget } from '../../../wire/xt/reject-target.ts';
import type { TcpmssTarget } from '../../../wire/xt/tcpmss-target.ts';
import type { TeeTarget } from '../../../wire/xt/tee-target.ts';
import type { TosTarget } from '../../../wire/xt/tos-target.ts';
import type { TproxyTarget } from '../../../wire/xt/tproxy-target.ts';
import { inet } from '../values.ts';
import { NAT_TARGETS } from './nat-targets.ts';
import { hex, quote, type Translate, type TranslateContext, type TranslateTable, words } from './types.ts';

const FULL = 0xffffffff;
const ip = ({ rule }: TranslateContext): string => (rule.family === 6 ? 'ip6' : 'ip');

/** The words of a mark that is set under a mask: `key` is what is set, `old` how its old value is called. */
function setMark(key: string, old: string, value: number, mask: number): string {
  const set = `${key} set `;
  if (mask === FULL) return set + hex(value);
  if (value === 0) return `${set}${old} and ${hex(~mask)}`;
  if (value === mask) return `${set}${old} or ${hex(value)}`;
  if (mask === 0) return `${set}${old} xor ${hex(value)}`;
  return `${set}${old} and ${hex(~mask)} xor ${hex(value)}`;
}

const MARK: Translate<MarkTarget> = (s) => setMark('meta mark', 'mark', s.mark, s.mask);

const SAVE = 1;
const RESTORE = 2;

const CONNMARK: Translate<ConnmarkTarget> = (s) => {
  if (s.shiftBits !== 0) return undefined;
  if (s.mode === SAVE || s.mode === RESTORE) {
    const [to, from] = s.mode === SAVE ? ['ct mark', 'mark'] : ['meta mark', 'ct mark'];
    if (s.ctmask === FULL && s.nfmask === FULL) return `${to} set ${from}`;
    // Only one side of a move can be masked.
    const mask = s.mode === SAVE ? s.nfmask : s.ctmask;
    const other = s.mode === SAVE ? s.ctmask : s.nfmask;
    return other === FULL ? `${to} set ${from} and ${hex(mask)}` : undefined;
  }
  return setMark('ct mark', 'ct mark', s.ctmark, s.ctmask);
};

const LEVELS = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'];
const WARNING = 4;

const LOG: Translate<LogTarget> = (s) => {
  const flags: string[] = [];
  const tcp = [s.flags & 1 ? 'sequence' : '', s.flags & 2 ? 'options' : ''].filter((w) => w !== '');
  if ((s.flags & 47) === 47) flags.push('flags all');
  else {
    if (tcp.length > 0) flags.push(`flags tcp ${tcp.join(',')}`);
    if (s.flags & 4) flags.push('flags ip options');
    if (s.flags & 8) flags.push('flags skuid');
    if (s.flags & 32) flags.push('flags ether');
  }
  const prefix = s.prefix === '' ? '' : `prefix ${quote(s.prefix)}`;
  const level = s.level === WARNING ? '' : `level ${LEVELS[s.level]}`;
  return words('log', prefix, level, ...flags);
};

/** What the structure holds. */
const MAX_PREFIX = 63;

const NFLOG: Translate<NflogTarget> = (s) =>
  words(
    'log',
    s.prefix === '' ? '' : `prefix ${quote(s.prefix.slice(0, MAX_PREFIX))}`,
    s.flags & 1 ? `snaplen ${s.len}` : '',
    s.threshold > 0 ? `queue-threshold ${s.threshold}` : '',
    `group ${s.group}`,
  );

const QUEUE_BYPASS = 1;
const QUEUE_FANOUT = 2;

const NFQUEUE: Translate<NfqueueTarget> = (s) => {
  const last = s.queue + s.total - 1;
  const flags = [s.flags & QUEUE_BYPASS ? 'bypass' : '', s.flags & QUEUE_FANOUT ? 'fanout' : ''].filter(
    (f) => f !== '',
  );
  return words(`queue num ${s.queue}${s.total > 1 && last <= 65535 ? `-${last}` : ''}`, flags.join(','));
};

const REJECT4: ReadonlyMap<number, string> = new Map([
  [0, 'net-unreachable'],
  [1, 'host-unreachable'],
  [2, 'prot-unreachable'],
  [3, ''],
  [5, 'net-prohibited'],
  [6, 'host-prohibited'],
  [8, 'admin-prohibited'],
]);
const REJECT6: ReadonlyMap<number, string> = new Map([
  [0, 'no-route'],
  [1, 'admin-prohibited'],
  [3, 'addr-unreachable'],
  [4, ''],
  [7, 'policy-fail'],
  [8, 'reject-route'],
]);

const REJECT: Translate<RejectTarget> = (s, { rule }) => {
  const six = rule.family === 6;
  if (s.with === (six ? 6 : 7)) return 'reject with tcp reset';
  const type = (six ? REJECT6 : REJECT4).get(s.with);
  if (type === undefined) return undefined;
  return type === '' ? 'reject' : `reject with ${six ? 'icmpv6' : 'icmp'} type ${type}`;
};

type SynproxyTarget = { readonly options: number; readonly wscale: number; readonly mss: number };

const SYNPROXY: Translate<SynproxyTarget> = (s) =>
  words(
    'synproxy',
    s.options & 4 ? 'sack-perm' : '',
    s.options & 8 ? 'timestamp' : '',
    s.options & 2 ? `wscale ${s.wscale}` : '',
    s.options & 1 ? `mss ${s.mss}` : '',
  );

const CLAMP = 0xffff;
const TCPMSS: Translate<TcpmssTarget> = (s) => `tcp option maxseg size set ${s.mss === CLAMP ? 'rt mtu' : s.mss}`;

const TEE: Translate<TeeTarget> = (s, { rule }) =>
  words(`dup to ${formatAddress(inet(s.gateway, rule.family))}`, s.oif === '' ? '' : `device ${s.oif}`);

const dscpText = (value: number): string => `0x${value.toString(16).padStart(2, '0')}`;

const DSCP: Translate<DscpTarget> = (s, ctx) => `${ip(ctx)} dscp set ${dscpText(s.dscp)}`;

/** The upper six of the eight bits; the rest is ECN, which nft sets apart. */
const TOS: Translate<TosTarget> = (s, ctx) => {
  const key = `${ip(ctx)} dscp`;
  const value = s.value >> 2;
  const mask = s.mask >> 2;
  if ((mask & 0xf) === 0xf) return `${key} set ${dscpText(value)}`;
  if (value === 0) return `${key} set ${key} and ${dscpText(~mask & 0x3f)}`;
  if (value === mask) return `${key} set ${key} or ${dscpText(value)}`;
  return mask === 0 ? `${key} set ${key} xor ${dscpText(value)}` : undefined;
};

const CLASSIFY: Translate<ClassifyTarget> = (s) => {
  const [major, minor] = [s.priority >>> 16, s.priority & 0xffff];
  if (s.priority === 0) return 'meta priority set none';
  if (s.priority === FULL) return 'meta priority set root';
  return `meta priority set ${major.toString(16)}:${minor.toString(16)}`;
};

const CT_NOTRACK = 3;

const CT: Translate<CtTarget> = (s) => {
  const only = s.zone === 0 && s.helper === '' && s.timeout === '' && s.ctEvents === 0 && s.expEvents === 0;
  return only && s.flags & CT_NOTRACK ? 'notrack' : undefined;
};

const TPROXY: Translate<TproxyTarget> = (s, { rule }) => {
  const bytes = inet(s.address, rule.family);
  const anywhere = bytes.every((byte) => byte === 0);
  const address = anywhere ? '' : rule.family === 6 ? `[${formatAddress(bytes)}]` : formatAddress(bytes);
  const port = s.port === 0 && !anywhere ? '' : `:${s.port}`;
  let mark = '';
  if (s.markMask === FULL) mark = `meta mark set ${hex(s.markValue)}`;
  else if (s.markMask !== 0 || s.markValue !== 0)
    mark = `meta mark set meta mark & ${hex(~s.markMask)} xor ${hex(s.markValue)}`;
  return words(`tproxy to ${address}${port}`, mark, 'accept');
};

export const TARGETS: TranslateTable = {
  ...NAT_TARGETS,
  MARK,
  CONNMARK,
  LOG,
  NFLOG,
  NFQUEUE,
  REJECT,
  SYNPROXY,
  TCPMSS,
  TEE,
  DSCP,
  TOS,
  CLASSIFY,
  CT,
  TPROXY,
  NOTRACK: () => 'notrack',
  TRACE: () => 'nftrace set 1',
  AUDIT: () => 'log level audit',
};
