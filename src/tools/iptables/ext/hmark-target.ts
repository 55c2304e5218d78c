/** Target `HMARK`: a mark computed from a hash over parts of the packet. */
import { maskLength, netmask } from '../../../wire/address.ts';
import * as H from '../../../wire/xt/hmark-target.ts';
import { problem } from '../errors.ts';
import { type Extension, hex, type Option } from '../extension.ts';
import { inet, uint, union } from '../values.ts';

/** Words of --hmark-tuple and the options that they stand for. */
const TUPLE: Readonly<Record<string, readonly [number, (s: H.HmarkTarget, family: 4 | 6) => void]>> = {
  src: [H.HMARK_SRC, (s, family) => setPrefix(s, 'srcMask', family, family === 4 ? 32 : 128)],
  dst: [H.HMARK_DST, (s, family) => setPrefix(s, 'dstMask', family, family === 4 ? 32 : 128)],
  sport: [H.HMARK_SPORT_MASK, (s) => setPort(s, 'sportMask', 0xffff)],
  dport: [H.HMARK_DPORT_MASK, (s) => setPort(s, 'dportMask', 0xffff)],
  spi: [
    H.HMARK_SPI_MASK,
    (s) => {
      s.sportMask = 0xffff;
      s.dportMask = 0xffff;
    },
  ],
  ct: [H.HMARK_CT, () => {}],
};

function setPrefix(s: H.HmarkTarget, field: 'srcMask' | 'dstMask', family: 4 | 6, length: number): void {
  s[field] = union(netmask(length, family === 4 ? 4 : 16));
}
function setPort(s: H.HmarkTarget, field: 'sportMask' | 'dportMask' | 'sport' | 'dport', value: number): void {
  s[field] = value;
}

/** Options and the flags they set; `--hmark-tuple` sets several. */
function once(s: H.HmarkTarget, flag: number, option: string): void {
  if (s.flags & flag) throw problem(`HMARK: option "--${option}" can only be used once.\n`);
  s.flags |= flag;
}

const prefix = (name: 'src' | 'dst', flag: number): Option<H.HmarkTarget> => ({
  name: `hmark-${name}-prefix`,
  parse(s, value, _invert, ctx) {
    const length = uint(ctx, value, ctx.family === 4 ? 32 : 128);
    once(s, flag, `hmark-${name}-prefix`);
    setPrefix(s, `${name}Mask`, ctx.family, length);
  },
});
const portOption = (
  name: string,
  field: 'sportMask' | 'dportMask' | 'sport' | 'dport',
  flag: number,
): Option<H.HmarkTarget> => ({
  name: `hmark-${name}`,
  parse(s, value, _invert, ctx) {
    const word = uint(ctx, value, 0xffff);
    once(s, flag, `hmark-${name}`);
    s[field] = word;
  },
});
const spiOption = (
  name: string,
  low: 'sport' | 'sportMask',
  high: 'dport' | 'dportMask',
  flag: number,
): Option<H.HmarkTarget> => ({
  name: `hmark-${name}`,
  parse(s, value, _invert, ctx) {
    const word = uint(ctx, value);
    once(s, flag, `hmark-${name}`);
    // The SPI lies over the two ports, in host order.
    s[low] = word & 0xffff;
    s[high] = word >>> 16;
  },
});

const spi = (low: number, high: number): number => (low | (high << 16)) >>> 0;

export const HMARK: Extension<H.HmarkTarget> = {
  kind: 'target',
  name: 'HMARK',
  revision: 0,
  codec: H.hmarkTarget,
  options: [
    {
      name: 'hmark-tuple',
      parse(s, value, _invert, ctx) {
        for (const word of value.split(',')) {
          const found = TUPLE[word];
          if (found === undefined) throw problem(`Bad type "${word}"`);
          s.flags |= found[0];
          found[1](s, ctx.family);
        }
      },
    },
    prefix('src', H.HMARK_SRC),
    prefix('dst', H.HMARK_DST),
    portOption('sport-mask', 'sportMask', H.HMARK_SPORT_MASK),
    portOption('dport-mask', 'dportMask', H.HMARK_DPORT_MASK),
    spiOption('spi-mask', 'sportMask', 'dportMask', H.HMARK_SPI_MASK),
    portOption('sport', 'sport', H.HMARK_SPORT),
    portOption('dport', 'dport', H.HMARK_DPORT),
    spiOption('spi', 'sport', 'dport', H.HMARK_SPI),
    {
      name: 'hmark-proto-mask',
      parse(s, value, _invert, ctx) {
        s.protoMask = uint(ctx, value, 0xffff);
        s.flags |= H.HMARK_PROTO_MASK;
      },
    },
    {
      name: 'hmark-rnd',
      parse(s, value, _invert, ctx) {
        s.seed = uint(ctx, value);
        s.flags |= H.HMARK_RND;
      },
    },
    {
      name: 'hmark-mod',
      parse(s, value, _invert, ctx) {
        s.modulus = uint(ctx, value, 0xffffffff, 1);
        s.flags |= H.HMARK_MODULUS;
      },
    },
    {
      name: 'hmark-offset',
      parse(s, value, _invert, ctx) {
        s.offset = uint(ctx, value);
        s.flags |= H.HMARK_OFFSET;
      },
    },
  ],
  check(s) {
    if (!(s.flags & H.HMARK_MODULUS)) throw problem('--hmark-mod is mandatory');
    const spiUsed = s.flags & (H.HMARK_SPI | H.HMARK_SPI_MASK);
    const portsUsed = s.flags & (H.HMARK_SPORT | H.HMARK_DPORT | H.HMARK_SPORT_MASK | H.HMARK_DPORT_MASK);
    const what = s.flags & ~(H.HMARK_MODULUS | H.HMARK_OFFSET | H.HMARK_RND | H.HMARK_CT);
    if (!(s.flags & H.HMARK_RND) && what) throw problem('--hmark-rnd is mandatory');
    if (spiUsed && portsUsed) throw problem('you cannot use --hmark-spi-mask and --hmark-?port-mask,--hmark-?port');
    if (!what && !(s.flags & H.HMARK_CT)) throw problem('you have to specify --hmark-tuple at least');
  },
  save(s, ctx) {
    const { flags } = s;
    let out = '';
    if (flags & H.HMARK_SRC) out += ` --hmark-src-prefix ${maskLength(inet(s.srcMask, ctx.family))}`;
    if (flags & H.HMARK_DST) out += ` --hmark-dst-prefix ${maskLength(inet(s.dstMask, ctx.family))}`;
    if (flags & H.HMARK_SPORT_MASK) out += ` --hmark-sport-mask ${hex(s.sportMask, 4)}`;
    if (flags & H.HMARK_DPORT_MASK) out += ` --hmark-dport-mask ${hex(s.dportMask, 4)}`;
    if (flags & H.HMARK_SPI_MASK) out += ` --hmark-spi-mask ${hex(spi(s.sportMask, s.dportMask), 8)}`;
    if (flags & H.HMARK_SPORT) out += ` --hmark-sport ${hex(s.sport, 4)}`;
    if (flags & H.HMARK_DPORT) out += ` --hmark-dport ${hex(s.dport, 4)}`;
    if (flags & H.HMARK_SPI) out += ` --hmark-spi ${hex(spi(s.sport, s.dport), 8)}`;
    if (flags & H.HMARK_PROTO_MASK) out += ` --hmark-proto-mask ${hex(s.protoMask, 2)}`;
    if (flags & H.HMARK_RND) out += ` --hmark-rnd ${hex(s.seed, 8)}`;
    if (flags & H.HMARK_MODULUS) out += ` --hmark-mod ${s.modulus}`;
    if (flags & H.HMARK_OFFSET) out += ` --hmark-offset ${s.offset}`;
    if (flags & H.HMARK_CT) out += ' --hmark-tuple ct';
    return out;
  },
  print(s, ctx) {
    const { flags } = s;
    let out = ' HMARK ';
    if (flags & H.HMARK_MODULUS) out += `mod ${s.modulus} `;
    if (flags & H.HMARK_OFFSET) out += `+ ${hex(s.offset)} `;
    if (flags & H.HMARK_CT) out += 'ct, ';
    if (flags & H.HMARK_SRC) out += `src-prefix ${maskLength(inet(s.srcMask, ctx.family))} `;
    if (flags & H.HMARK_DST) out += `dst-prefix ${maskLength(inet(s.dstMask, ctx.family))} `;
    if (flags & H.HMARK_SPORT_MASK) out += `sport-mask ${hex(s.sportMask)} `;
    if (flags & H.HMARK_DPORT_MASK) out += `dport-mask ${hex(s.dportMask)} `;
    if (flags & H.HMARK_SPI_MASK) out += `spi-mask ${hex(spi(s.sportMask, s.dportMask))} `;
    if (flags & H.HMARK_SPORT) out += `sport ${hex(s.sport)} `;
    if (flags & H.HMARK_DPORT) out += `dport ${hex(s.dport)} `;
    if (flags & H.HMARK_SPI) out += `spi ${hex(spi(s.sport, s.dport))} `;
    if (flags & H.HMARK_PROTO_MASK) out += `proto-mask ${hex(s.protoMask)} `;
    if (flags & H.HMARK_RND) out += `rnd ${hex(s.seed)} `;
    return out;
  },
};
