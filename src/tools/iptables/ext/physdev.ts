/** Match `physdev`: the bridge ports of a bridged packet. */
import { physdev as codec, type Physdev } from '../../../wire/xt/physdev.ts';
import { problem } from '../errors.ts';
import { bang, type Extension, type Option } from '../extension.ts';

const IN = 1;
const OUT = 2;
const BRIDGED = 4;
const ISIN = 8;
const ISOUT = 16;

/** Mask of a device name: all bytes and the NUL, or only those before a final "+". */
function mask(name: string): Uint8Array {
  const out = new Uint8Array(16);
  if (name === '') return out;
  return out.fill(0xff, 0, name.endsWith('+') ? name.length - 1 : name.length + 1);
}

function flag(name: string, bit: number): Option<Physdev> {
  return {
    name,
    arg: 'none',
    invert: true,
    parse(s, _value, invert) {
      s.bitmask |= bit;
      if (invert) s.invert |= bit;
    },
  };
}

export const physdev: Extension<Physdev> = {
  kind: 'match',
  name: 'physdev',
  revision: 0,
  codec,
  options: [
    {
      name: 'physdev-in',
      invert: true,
      parse(s, value, invert) {
        s.inDev = value;
        s.inMask = mask(value);
        s.bitmask |= IN;
        if (invert) s.invert |= IN;
      },
    },
    {
      name: 'physdev-out',
      invert: true,
      parse(s, value, invert) {
        s.outDev = value;
        s.outMask = mask(value);
        s.bitmask |= OUT;
        if (invert) s.invert |= OUT;
      },
    },
    flag('physdev-is-bridged', BRIDGED),
    flag('physdev-is-in', ISIN),
    flag('physdev-is-out', ISOUT),
  ],
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem('PHYSDEV: no physdev option specified');
  },
  save(s) {
    let out = '';
    if (s.bitmask & ISIN) out += `${bang(s.invert & ISIN)} --physdev-is-in`;
    if (s.bitmask & IN) out += `${bang(s.invert & IN)} --physdev-in ${s.inDev}`;
    if (s.bitmask & ISOUT) out += `${bang(s.invert & ISOUT)} --physdev-is-out`;
    if (s.bitmask & OUT) out += `${bang(s.invert & OUT)} --physdev-out ${s.outDev}`;
    if (s.bitmask & BRIDGED) out += `${bang(s.invert & BRIDGED)} --physdev-is-bridged`;
    return out;
  },
  print(s) {
    return ` PHYSDEV match${this.save(s, undefined as never)}`.replaceAll('--physdev', '--physdev');
  },
};
