/** Targets that few rulesets use: IDLETIMER, LED, SECMARK, CONNSECMARK, SYNPROXY, CLUSTERIP. */
import { formatMac } from '../../../wire/address.ts';
import { type ClusteripTarget, clusteripTarget } from '../../../wire/xt/clusterip-target.ts';
import { type IdletimerTarget, idletimerTarget } from '../../../wire/xt/idletimer-target.ts';
import { type LedTarget, ledTarget } from '../../../wire/xt/led-target.ts';
import {
  type ConnsecmarkTarget,
  connsecmarkTarget,
  type SecmarkTarget,
  secmarkTarget,
} from '../../../wire/xt/secmark-target.ts';
import * as Y from '../../../wire/xt/synproxy-target.ts';
import { problem } from '../errors.ts';
import type { Extension, Option } from '../extension.ts';
import { mac, U32_MAX, uint } from '../values.ts';

export const IDLETIMER: Extension<IdletimerTarget> = {
  kind: 'target',
  name: 'IDLETIMER',
  revision: 1,
  codec: idletimerTarget,
  options: [
    {
      name: 'timeout',
      mandatory: true,
      parse(s, value, _invert, ctx) {
        s.timeout = uint(ctx, value);
      },
    },
    {
      name: 'label',
      mandatory: true,
      parse(s, value) {
        s.label = value.slice(0, 27);
      },
    },
    {
      name: 'alarm',
      arg: 'none',
      parse(s) {
        s.alarm = 1;
      },
    },
  ],
  save: (s) => ` --timeout ${s.timeout} --label ${s.label}${s.alarm ? ' --alarm' : ''}`,
  print: (s) => ` timeout:${s.timeout} label:${s.label}${s.alarm ? ' alarm' : ''}`,
};

const LED_PREFIX = 'netfilter-';

export const LED: Extension<LedTarget> = {
  kind: 'target',
  name: 'LED',
  revision: 0,
  codec: ledTarget,
  options: [
    {
      name: 'led-trigger-id',
      mandatory: true,
      parse(s, value) {
        s.id = `${LED_PREFIX}${value}`.slice(0, 26);
      },
    },
    {
      name: 'led-delay',
      parse(s, value, _invert, ctx) {
        s.delay = value === 'inf' ? U32_MAX : uint(ctx, value);
      },
    },
    {
      name: 'led-always-blink',
      arg: 'none',
      parse(s) {
        s.alwaysBlink = 1;
      },
    },
  ],
  save(s) {
    let out = ` --led-trigger-id "${s.id.slice(LED_PREFIX.length)}"`;
    if (s.delay !== 0) out += ` --led-delay ${s.delay === U32_MAX ? 'inf' : s.delay}`;
    return out + (s.alwaysBlink ? ' --led-always-blink' : '');
  },
  print(s) {
    let out = ` led-trigger-id:"${s.id.slice(LED_PREFIX.length)}"`;
    if (s.delay !== 0) out += ` led-delay:${s.delay === U32_MAX ? 'inf' : `${s.delay}ms`}`;
    return out + (s.alwaysBlink ? ' led-always-blink' : '');
  },
};

export const SECMARK: Extension<SecmarkTarget> = {
  kind: 'target',
  name: 'SECMARK',
  revision: 1,
  codec: secmarkTarget,
  options: [
    {
      name: 'selctx',
      mandatory: true,
      parse(s, value) {
        s.mode = 1;
        s.context = value.slice(0, 255);
      },
    },
  ],
  save: (s) => ` --selctx ${s.context}`,
  print: (s) => ` SECMARK selctx ${s.context}`,
};

const saveRestore = (name: string, other: string, mode: number): Option<ConnsecmarkTarget> => ({
  name,
  arg: 'none',
  excl: [other],
  parse(s) {
    s.mode = mode;
  },
});
const CONNSECMARK_MODES: readonly string[] = ['', 'save', 'restore'];

export const CONNSECMARK: Extension<ConnsecmarkTarget> = {
  kind: 'target',
  name: 'CONNSECMARK',
  revision: 0,
  codec: connsecmarkTarget,
  options: [saveRestore('save', 'restore', 1), saveRestore('restore', 'save', 2)],
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem('CONNSECMARK target: parameter required');
  },
  save: (s) => ` --${CONNSECMARK_MODES[s.mode]}`,
  print: (s) => ` CONNSECMARK ${CONNSECMARK_MODES[s.mode]}`,
};

const synproxyFlag = (name: string, bit: number): Option<Y.SynproxyTarget> => ({
  name,
  arg: 'none',
  parse(s) {
    s.options |= bit;
  },
});

function synproxyText(s: Y.SynproxyTarget, dash: string): string {
  let out = '';
  if (s.options & Y.SYNPROXY_SACK_PERM) out += ` ${dash}sack-perm`;
  if (s.options & Y.SYNPROXY_TIMESTAMP) out += ` ${dash}timestamp`;
  if (s.options & Y.SYNPROXY_WSCALE) out += ` ${dash}wscale ${s.wscale}`;
  if (s.options & Y.SYNPROXY_MSS) out += ` ${dash}mss ${s.mss}`;
  if (s.options & Y.SYNPROXY_ECN) out += ` ${dash}ecn`;
  return out;
}

export const SYNPROXY: Extension<Y.SynproxyTarget> = {
  kind: 'target',
  name: 'SYNPROXY',
  revision: 0,
  codec: Y.synproxyTarget,
  options: [
    synproxyFlag('sack-perm', Y.SYNPROXY_SACK_PERM),
    synproxyFlag('timestamp', Y.SYNPROXY_TIMESTAMP),
    {
      name: 'wscale',
      parse(s, value, _invert, ctx) {
        s.wscale = uint(ctx, value) & 255;
        s.options |= Y.SYNPROXY_WSCALE;
      },
    },
    {
      name: 'mss',
      parse(s, value, _invert, ctx) {
        s.mss = uint(ctx, value) & 0xffff;
        s.options |= Y.SYNPROXY_MSS;
      },
    },
    synproxyFlag('ecn', Y.SYNPROXY_ECN),
  ],
  save: (s) => synproxyText(s, '--'),
  print: (s) => ` SYNPROXY${synproxyText(s, '')} `,
};

const HASH_MODES: readonly string[] = ['sourceip', 'sourceip-sourceport', 'sourceip-sourceport-destport'];
const CLUSTERIP_NEW = 1;

export const CLUSTERIP: Extension<ClusteripTarget> = {
  kind: 'target',
  name: 'CLUSTERIP',
  revision: 0,
  family: 4,
  codec: clusteripTarget,
  options: [
    {
      name: 'new',
      arg: 'none',
      parse(s) {
        s.flags |= CLUSTERIP_NEW;
      },
    },
    {
      name: 'hashmode',
      also: ['new'],
      parse(s, value) {
        s.hashMode = HASH_MODES.indexOf(value);
        if (s.hashMode < 0) throw problem(`Unknown hashmode "${value}"`);
      },
    },
    {
      name: 'clustermac',
      also: ['new'],
      parse(s, value) {
        s.mac = mac(value);
        if (!(s.mac[0] & 1)) throw problem('MAC has to be a multicast ethernet address');
      },
    },
    {
      name: 'total-nodes',
      also: ['new'],
      parse(s, value, _invert, ctx) {
        s.totalNodes = uint(ctx, value, 16, 1);
      },
    },
    {
      name: 'local-node',
      also: ['new'],
      parse(s, value, _invert, ctx) {
        s.localCount = 1;
        s.localNodes[0] = uint(ctx, value, 16, 1);
      },
    },
    {
      name: 'hash-init',
      also: ['new'],
      parse(s, value, _invert, ctx) {
        s.hashInit = uint(ctx, value);
      },
    },
  ],
  check(_s, ctx) {
    const all = ['new', 'hashmode', 'clustermac', 'total-nodes', 'local-node'];
    if (ctx.seen.size > 0 && all.some((name) => !ctx.seen.has(name)))
      throw problem('CLUSTERIP target: Invalid parameter combination');
  },
  save(s) {
    if (!(s.flags & CLUSTERIP_NEW)) return '';
    return ` --new --hashmode ${HASH_MODES[s.hashMode]} --clustermac ${formatMac(s.mac).toUpperCase()} --total-nodes ${s.totalNodes} --local-node ${s.localNodes[0]} --hash-init ${s.hashInit}`;
  },
  print(s) {
    if (!(s.flags & CLUSTERIP_NEW)) return ' CLUSTERIP';
    return ` CLUSTERIP hashmode=${HASH_MODES[s.hashMode]} clustermac=${formatMac(s.mac).toUpperCase()} total_nodes=${s.totalNodes} local_node=${s.localNodes[0]} hash_init=${s.hashInit}`;
  },
};
