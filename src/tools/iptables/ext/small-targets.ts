/** Targets with one setting: `CLASSIFY`, `CHECKSUM`, `TEE`, `TRACE`, `AUDIT`, `TCPOPTSTRIP`. */
import { formatAddress } from '../../../wire/address.ts';
import { type AuditTarget, auditTarget } from '../../../wire/xt/audit-target.ts';
import { type ChecksumTarget, checksumTarget } from '../../../wire/xt/checksum-target.ts';
import { type ClassifyTarget, classifyTarget } from '../../../wire/xt/classify-target.ts';
import { struct } from '../../../wire/xt/struct.ts';
import { type TcpoptstripTarget, tcpoptstripTarget } from '../../../wire/xt/tcpoptstrip-target.ts';
import { type TeeTarget, teeTarget } from '../../../wire/xt/tee-target.ts';
import { problem } from '../errors.ts';
import type { Extension } from '../extension.ts';
import { address, inet, number, union } from '../values.ts';

const classText = (priority: number): string => `${(priority >>> 16).toString(16)}:${(priority & 0xffff).toString(16)}`;

export const CLASSIFY: Extension<ClassifyTarget> = {
  kind: 'target',
  name: 'CLASSIFY',
  revision: 0,
  codec: classifyTarget,
  options: [
    {
      name: 'set-class',
      mandatory: true,
      parse(s, value) {
        const m = /^([0-9a-fA-F]{1,4}):([0-9a-fA-F]{1,4})$/.exec(value);
        if (m === null) throw problem(`Bad class value "${value}"`);
        s.priority = ((Number.parseInt(m[1], 16) << 16) | Number.parseInt(m[2], 16)) >>> 0;
      },
    },
  ],
  save: (s) => ` --set-class ${classText(s.priority)}`,
  print: (s) => ` CLASSIFY set ${classText(s.priority)}`,
};

export const CHECKSUM: Extension<ChecksumTarget> = {
  kind: 'target',
  name: 'CHECKSUM',
  revision: 0,
  codec: checksumTarget,
  options: [
    {
      name: 'checksum-fill',
      arg: 'none',
      mandatory: true,
      parse(s) {
        s.operation = 1;
      },
    },
  ],
  save: (s) => (s.operation & 1 ? ' --checksum-fill' : ''),
  print: (s) => ` CHECKSUM${s.operation & 1 ? ' fill' : ''}`,
};

export const TEE: Extension<TeeTarget> = {
  kind: 'target',
  name: 'TEE',
  revision: 1,
  codec: teeTarget,
  options: [
    {
      name: 'gateway',
      mandatory: true,
      parse(s, value, _invert, ctx) {
        const found = address(value, ctx.family);
        if (found === undefined) throw problem(`TEE: Bad value for "--gateway" option: "${value}"`);
        s.gateway = union(found);
      },
    },
    {
      name: 'oif',
      parse(s, value) {
        s.oif = value.slice(0, 15);
      },
    },
  ],
  save: (s, ctx) => ` --gateway ${formatAddress(inet(s.gateway, ctx.family))}${s.oif === '' ? '' : ` --oif ${s.oif}`}`,
  print: (s, ctx) => ` TEE gw:${formatAddress(inet(s.gateway, ctx.family))}${s.oif === '' ? '' : ` oif=${s.oif}`}`,
};

/** Its kernel form is `meta nftrace set 1`. */
export const TRACE: Extension<object> = {
  kind: 'target',
  name: 'TRACE',
  revision: 0,
  codec: struct<object>({}),
  options: [],
  save: () => '',
  print: () => ' TRACE',
};

const AUDIT_TYPES: readonly string[] = ['accept', 'drop', 'reject'];

export const AUDIT: Extension<AuditTarget> = {
  kind: 'target',
  name: 'AUDIT',
  revision: 0,
  codec: auditTarget,
  options: [
    {
      name: 'type',
      mandatory: true,
      parse(s, value) {
        s.type = AUDIT_TYPES.indexOf(value.toLowerCase());
        if (s.type < 0) throw problem(`Bad action type value "${value}"`);
      },
    },
  ],
  save: (s) => ` --type ${AUDIT_TYPES[s.type]}`,
  print: (s) => ` AUDIT ${AUDIT_TYPES[s.type]}`,
};

const STRIP_NAMES: ReadonlyMap<string, number> = new Map([
  ['wscale', 3],
  ['mss', 2],
  ['sack-permitted', 4],
  ['sack', 5],
  ['timestamp', 8],
  ['md5', 19],
]);

export const TCPOPTSTRIP: Extension<TcpoptstripTarget> = {
  kind: 'target',
  name: 'TCPOPTSTRIP',
  revision: 0,
  codec: tcpoptstripTarget,
  options: [
    {
      name: 'strip-options',
      parse(s, value) {
        for (const word of value.split(',')) {
          const option = STRIP_NAMES.get(word) ?? number(word, 255);
          if (option === undefined) throw problem(`Bad TCP option value "${word}"`);
          if (option < 2) throw problem('Option value may not be 0 or 1');
          s.bitmap[option >> 5] = (s.bitmap[option >> 5] | (1 << (option & 31))) >>> 0;
        }
      },
    },
  ],
  save(s) {
    const list = Array.from({ length: 256 }, (_, i) => i).filter((i) => s.bitmap[i >> 5] & (1 << (i & 31)));
    return list.length === 0 ? '' : ` --strip-options ${list.join(',')}`;
  },
  print(s) {
    const list = Array.from({ length: 256 }, (_, i) => i).filter((i) => s.bitmap[i >> 5] & (1 << (i & 31)));
    return ` TCPOPTSTRIP options ${list.join(',')}`;
  },
};
