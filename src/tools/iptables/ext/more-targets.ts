/** Targets `ECN`, `TPROXY`, `SNPT` and `DNPT`. */
import { formatAddress, netmask } from '../../../wire/address.ts';
import { type EcnTarget, ecnTarget } from '../../../wire/xt/ecn-target.ts';
import { type NptTarget, nptTarget } from '../../../wire/xt/npt-target.ts';
import { type TproxyTarget, tproxyTarget } from '../../../wire/xt/tproxy-target.ts';
import { problem } from '../errors.ts';
import { type Extension, hex, type Option } from '../extension.ts';
import { address, inet, markMask, number, port, uint, union } from '../values.ts';

export const ECN: Extension<EcnTarget> = {
  kind: 'target',
  name: 'ECN',
  revision: 0,
  family: 4,
  codec: ecnTarget,
  options: [
    {
      name: 'ecn-tcp-remove',
      arg: 'none',
      parse(s) {
        s.operation |= 0x30;
        s.tcp = 0;
      },
    },
    {
      name: 'ecn-ip-ect',
      parse(s, value, _invert, ctx) {
        s.operation |= 0x01;
        s.ipEct = uint(ctx, value, 3);
      },
    },
  ],
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem('ECN target: An operation is required');
  },
  save(s) {
    const tcp = (s.operation & 0x30) === 0x30 ? ' --ecn-tcp-remove' : '';
    return tcp + (s.operation & 1 ? ` --ecn-ip-ect ${s.ipEct}` : '');
  },
  print: (s) =>
    ` ECN${(s.operation & 0x30) === 0x30 ? ' TCP remove' : ''}${s.operation & 1 ? ` ECT codepoint=${s.ipEct}` : ''}`,
};

export const TPROXY: Extension<TproxyTarget> = {
  kind: 'target',
  name: 'TPROXY',
  revision: 1,
  codec: tproxyTarget,
  options: [
    {
      name: 'on-port',
      mandatory: true,
      parse(s, value, _invert, ctx) {
        const found = port(value, ctx.proto);
        if (found === undefined) throw problem(`Port "${value}" does not resolve to anything.`);
        s.port = found;
      },
    },
    {
      name: 'on-ip',
      parse(s, value, _invert, ctx) {
        const found = address(value, ctx.family);
        if (found === undefined) throw problem(`TPROXY: Bad value for "--on-ip" option: "${value}"`);
        s.address = union(found);
      },
    },
    {
      name: 'tproxy-mark',
      parse(s, value, _invert, ctx) {
        [s.markValue, s.markMask] = markMask(ctx, value);
      },
    },
  ],
  save(s, ctx) {
    let out = ` --on-port ${s.port} --on-ip ${formatAddress(inet(s.address, ctx.family))}`;
    out += ` --tproxy-mark ${hex(s.markValue)}/${hex(s.markMask)}`;
    return out;
  },
  print: (s, ctx) =>
    ` TPROXY redirect ${formatAddress(inet(s.address, ctx.family))}:${s.port} mark ${hex(s.markValue)}/${hex(s.markMask)}`,
};

function prefix(value: string): { bytes: Uint8Array; length: number } {
  const [text, lengthText] = value.split('/');
  const bytes = address(text, 6);
  const length = lengthText === undefined ? 128 : number(lengthText, 128);
  if (bytes === undefined || length === undefined) throw problem(`Bad prefix "${value}"`);
  const mask = netmask(length, 16);
  return { bytes: bytes.map((byte, i) => byte & mask[i]), length };
}

function npt(name: 'SNPT' | 'DNPT'): Extension<NptTarget> {
  const option = (side: 'src' | 'dst'): Option<NptTarget> => ({
    name: `${side}-pfx`,
    mandatory: true,
    parse(s, value) {
      const { bytes, length } = prefix(value);
      s[side] = bytes;
      s[`${side}Length`] = length;
    },
  });
  return {
    kind: 'target',
    name,
    revision: 0,
    family: 6,
    codec: nptTarget,
    options: [option('src'), option('dst')],
    save: (s) => ` --src-pfx ${formatAddress(s.src)}/${s.srcLength} --dst-pfx ${formatAddress(s.dst)}/${s.dstLength}`,
    print: (s) =>
      ` ${name} src-pfx ${formatAddress(s.src)}/${s.srcLength} dst-pfx ${formatAddress(s.dst)}/${s.dstLength}`,
  };
}
export const SNPT: Extension<NptTarget> = npt('SNPT');
export const DNPT: Extension<NptTarget> = npt('DNPT');
