/** Matches with one or two settings: realm, rpfilter, socket, quota, cpu, nfacct, ecn, devgroup, cluster. */
import { type Cluster, cluster as clusterCodec } from '../../../wire/xt/cluster.ts';
import { type Cpu, cpu as cpuCodec } from '../../../wire/xt/cpu.ts';
import { type Devgroup, devgroup as devgroupCodec } from '../../../wire/xt/devgroup.ts';
import { type Ecn, ecn as ecnCodec } from '../../../wire/xt/ecn.ts';
import { type Nfacct, nfacct as nfacctCodec } from '../../../wire/xt/nfacct.ts';
import { type Quota, quota as quotaCodec } from '../../../wire/xt/quota.ts';
import { type Realm, realm as realmCodec } from '../../../wire/xt/realm.ts';
import { type Rpfilter, rpfilter as rpfilterCodec } from '../../../wire/xt/rpfilter.ts';
import { type Socket, socket as socketCodec } from '../../../wire/xt/socket.ts';
import { problem } from '../errors.ts';
import { bang, type Extension, hex, type Option } from '../extension.ts';
import { markMask, U32_MAX, uint, uint64 } from '../values.ts';

export const realm: Extension<Realm> = {
  kind: 'match',
  name: 'realm',
  revision: 0,
  family: 4,
  codec: realmCodec,
  options: [
    {
      name: 'realm',
      invert: true,
      mandatory: true,
      parse(s, value, invert, ctx) {
        [s.id, s.mask] = markMask(ctx, value);
        s.invert = invert ? 1 : 0;
      },
    },
  ],
  save: (s) => `${bang(s.invert)} --realm ${hex(s.id)}${s.mask === U32_MAX ? '' : `/${hex(s.mask)}`}`,
  print: (s) => `${bang(s.invert)} realm ${hex(s.id)}${s.mask === U32_MAX ? '' : `/${hex(s.mask)}`}`,
};

/** Options that each set one bit of `flags`. */
function bits<S extends { flags: number }>(names: readonly (readonly [string, number])[]): Option<S>[] {
  return names.map(([name, bit]) => ({
    name,
    arg: 'none',
    parse(s) {
      s.flags |= bit;
    },
  }));
}
function bitText(flags: number, names: readonly (readonly [string, number])[], prefix: string): string {
  return names
    .filter(([, bit]) => flags & bit)
    .map(([name]) => ` ${prefix}${name}`)
    .join('');
}

const RPFILTER: readonly (readonly [string, number])[] = [
  ['loose', 1],
  ['validmark', 2],
  ['accept-local', 4],
  ['invert', 8],
];

export const rpfilter: Extension<Rpfilter> = {
  kind: 'match',
  name: 'rpfilter',
  revision: 0,
  codec: rpfilterCodec,
  options: bits<Rpfilter>(RPFILTER),
  save: (s) => bitText(s.flags, RPFILTER, '--'),
  print: (s) => ` rpfilter${bitText(s.flags, RPFILTER, '')}`,
};

const SOCKET: readonly (readonly [string, number])[] = [
  ['transparent', 1],
  ['nowildcard', 2],
  ['restore-skmark', 4],
];

export const socket: Extension<Socket> = {
  kind: 'match',
  name: 'socket',
  revision: 3,
  codec: socketCodec,
  options: bits<Socket>(SOCKET),
  save: (s) => bitText(s.flags, SOCKET, '--'),
  print: (s) => ` socket${bitText(s.flags, SOCKET, '--')}`,
};

export const quota: Extension<Quota> = {
  kind: 'match',
  name: 'quota',
  revision: 0,
  codec: quotaCodec,
  options: [
    {
      name: 'quota',
      invert: true,
      mandatory: true,
      parse(s, value, invert, ctx) {
        s.quota = uint64(ctx, value);
        if (invert) s.flags |= 1;
      },
    },
  ],
  save: (s) => `${bang(s.flags & 1)} --quota ${s.quota}`,
  print: (s) => ` quota: ${s.quota} bytes`,
};

export const cpu: Extension<Cpu> = {
  kind: 'match',
  name: 'cpu',
  revision: 0,
  codec: cpuCodec,
  options: [
    {
      name: 'cpu',
      invert: true,
      mandatory: true,
      parse(s, value, invert, ctx) {
        s.cpu = uint(ctx, value);
        s.invert = invert ? 1 : 0;
      },
    },
  ],
  save: (s) => `${bang(s.invert)} --cpu ${s.cpu}`,
  print: (s) => ` cpu ${s.invert ? '! ' : ''}${s.cpu}`,
};

export const nfacct: Extension<Nfacct> = {
  kind: 'match',
  name: 'nfacct',
  revision: 0,
  codec: nfacctCodec,
  options: [
    {
      name: 'nfacct-name',
      mandatory: true,
      parse(s, value) {
        s.name = value.slice(0, 31);
      },
    },
  ],
  save: (s) => ` --nfacct-name ${s.name}`,
  print: (s) => ` nfacct-name ${s.name}`,
};

const ECN_IP = 0x01;
const ECN_ECE = 0x10;
const ECN_CWR = 0x20;

export const ecn: Extension<Ecn> = {
  kind: 'match',
  name: 'ecn',
  revision: 0,
  codec: ecnCodec,
  options: [
    {
      name: 'ecn-tcp-cwr',
      arg: 'none',
      invert: true,
      parse(s, _value, invert) {
        s.operation |= ECN_CWR;
        if (invert) s.invert |= ECN_CWR;
      },
    },
    {
      name: 'ecn-tcp-ece',
      arg: 'none',
      invert: true,
      parse(s, _value, invert) {
        s.operation |= ECN_ECE;
        if (invert) s.invert |= ECN_ECE;
      },
    },
    {
      name: 'ecn-ip-ect',
      invert: true,
      parse(s, value, invert, ctx) {
        s.ipEct = uint(ctx, value, 3);
        s.operation |= ECN_IP;
        if (invert) s.invert |= ECN_IP;
      },
    },
  ],
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem('ECN match: some option required');
  },
  save(s) {
    let out = '';
    if (s.operation & ECN_ECE) out += `${bang(s.invert & ECN_ECE)} --ecn-tcp-ece`;
    if (s.operation & ECN_CWR) out += `${bang(s.invert & ECN_CWR)} --ecn-tcp-cwr`;
    if (s.operation & ECN_IP) out += `${bang(s.invert & ECN_IP)} --ecn-ip-ect ${s.ipEct}`;
    return out;
  },
  print(s) {
    let out = ' ECN match';
    if (s.operation & ECN_ECE) out += ` ${s.invert & ECN_ECE ? '!' : ''}ECE`;
    if (s.operation & ECN_CWR) out += ` ${s.invert & ECN_CWR ? '!' : ''}CWR`;
    if (s.operation & ECN_IP) out += ` ${s.invert & ECN_IP ? '!' : ''}ECT=${s.ipEct}`;
    return out;
  },
};

export const devgroup: Extension<Devgroup> = {
  kind: 'match',
  name: 'devgroup',
  revision: 0,
  codec: devgroupCodec,
  options: [
    {
      name: 'src-group',
      invert: true,
      parse(s, value, invert, ctx) {
        [s.srcGroup, s.srcMask] = markMask(ctx, value);
        s.flags |= invert ? 3 : 1;
      },
    },
    {
      name: 'dst-group',
      invert: true,
      parse(s, value, invert, ctx) {
        [s.dstGroup, s.dstMask] = markMask(ctx, value);
        s.flags |= invert ? 12 : 4;
      },
    },
  ],
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem('devgroup match: You must specify either "--src-group" or "--dst-group"');
  },
  save(s) {
    const text = (group: number, mask: number): string => `${hex(group)}${mask === U32_MAX ? '' : `/${hex(mask)}`}`;
    let out = '';
    if (s.flags & 1) out += `${bang(s.flags & 2)} --src-group ${text(s.srcGroup, s.srcMask)}`;
    if (s.flags & 4) out += `${bang(s.flags & 8)} --dst-group ${text(s.dstGroup, s.dstMask)}`;
    return out;
  },
  print(s) {
    return this.save(s, undefined as never).replaceAll('--', '');
  },
};

export const cluster: Extension<Cluster> = {
  kind: 'match',
  name: 'cluster',
  revision: 0,
  codec: clusterCodec,
  options: [
    {
      name: 'cluster-total-nodes',
      mandatory: true,
      parse(s, value, _invert, ctx) {
        s.totalNodes = uint(ctx, value, 32, 1);
      },
    },
    {
      name: 'cluster-local-node',
      invert: true,
      excl: ['cluster-local-nodemask'],
      parse(s, value, invert, ctx) {
        s.nodeMask = (1 << (uint(ctx, value, 32, 1) - 1)) >>> 0;
        if (invert) s.flags |= 1;
      },
    },
    {
      name: 'cluster-local-nodemask',
      invert: true,
      excl: ['cluster-local-node'],
      parse(s, value, invert, ctx) {
        s.nodeMask = uint(ctx, value);
        if (invert) s.flags |= 1;
      },
    },
    {
      name: 'cluster-hash-seed',
      mandatory: true,
      parse(s, value, _invert, ctx) {
        s.hashSeed = uint(ctx, value);
      },
    },
  ],
  check(_s, ctx) {
    if (!ctx.seen.has('cluster-local-node') && !ctx.seen.has('cluster-local-nodemask'))
      throw problem("cluster match: `--cluster-local-node' or`--cluster-local-nodemask' is missing");
  },
  save: (s) =>
    `${bang(s.flags & 1)} --cluster-local-nodemask ${hex(s.nodeMask, 8)} --cluster-total-nodes ${s.totalNodes} --cluster-hash-seed ${hex(s.hashSeed, 8)}`,
  print: (s) =>
    ` cluster${bang(s.flags & 1)} node_mask=${hex(s.nodeMask, 8)} total_nodes=${s.totalNodes} hash_seed=${hex(s.hashSeed, 8)}`,
};
