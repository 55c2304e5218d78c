/** Match `tcp`: ports, flags, option (iptables-extensions(8)). */
import { tcp as codec, type Tcp } from '../../../wire/xt/tcp.ts';
import { problem } from '../errors.ts';
import { bang, type Extension, hex } from '../extension.ts';
import { ports, portWord, strictPort, uint } from '../values.ts';

const FLAGS: readonly (readonly [string, number])[] = [
  ['FIN', 1],
  ['SYN', 2],
  ['RST', 4],
  ['PSH', 8],
  ['ACK', 16],
  ['URG', 32],
];
const INV_SRC = 1;
const INV_DST = 2;
const INV_FLAGS = 4;
const INV_OPTION = 8;

function flags(text: string): number {
  let out = 0;
  for (const word of text.split(',')) {
    const upper = word.toUpperCase();
    const bit = upper === 'ALL' ? 0x3f : upper === 'NONE' ? 0 : FLAGS.find(([name]) => name === upper)?.[1];
    if (bit === undefined) throw problem(`Unknown TCP flag \`${word}'`);
    out |= bit;
  }
  return out;
}

function flagText(bits: number): string {
  if (bits === 0) return 'NONE';
  return FLAGS.filter(([, bit]) => bits & bit)
    .map(([name]) => name)
    .join(',');
}

/** "a:b" of the tcp and sctp matches. */
export function tcpPorts(text: string, proto: number): [number, number] {
  const colon = text.indexOf(':');
  if (colon < 0) {
    const one = strictPort(text, proto);
    return [one, one];
  }
  const first = text.slice(0, colon);
  const second = text.slice(colon + 1);
  const from = first === '' ? 0 : strictPort(first, proto);
  const to = second === '' ? 65535 : strictPort(second, proto);
  if (from > to) throw problem(`invalid portrange (min > max)`);
  return [from, to];
}

/** " spt:22", " dpts:!1:9" as -L prints ports. */
export function listPorts(
  name: string,
  range: readonly number[],
  invert: boolean,
  proto: number,
  numeric: boolean,
): string {
  if (range[0] === 0 && range[1] === 65535 && !invert) return '';
  const no = invert ? '!' : '';
  if (range[0] === range[1]) return ` ${name}:${no}${portWord(range[0], proto, numeric)}`;
  return ` ${name}s:${no}${portWord(range[0], proto, numeric)}:${portWord(range[1], proto, numeric)}`;
}

/** " --sport 1:2" as iptables-save prints ports; '' when every port matches. */
export function savePorts(option: string, range: readonly number[], invert: boolean): string {
  if (range[0] === 0 && range[1] === 65535 && !invert) return '';
  return `${bang(invert)} --${option} ${ports(range[0], range[1])}`;
}

export const tcp: Extension<Tcp> = {
  kind: 'match',
  name: 'tcp',
  revision: 0,
  codec,
  init(s) {
    s.spts = [0, 65535];
    s.dpts = [0, 65535];
  },
  options: [
    ...['source-port', 'sport'].map((name) => ({
      name,
      invert: true,
      parse(s: Tcp, value: string, invert: boolean): void {
        s.spts = tcpPorts(value, 6);
        if (invert) s.invert |= INV_SRC;
      },
    })),
    ...['destination-port', 'dport'].map((name) => ({
      name,
      invert: true,
      parse(s: Tcp, value: string, invert: boolean): void {
        s.dpts = tcpPorts(value, 6);
        if (invert) s.invert |= INV_DST;
      },
    })),
    {
      name: 'syn',
      arg: 'none',
      invert: true,
      parse(s, _value, invert) {
        s.flagMask = 0x17;
        s.flagCmp = 0x02;
        if (invert) s.invert |= INV_FLAGS;
      },
    },
    {
      name: 'tcp-flags',
      invert: true,
      parse(s, value, invert, ctx) {
        const second = ctx.next();
        if (second === undefined) throw problem('--tcp-flags requires two args.');
        s.flagMask = flags(value);
        s.flagCmp = flags(second);
        if (invert) s.invert |= INV_FLAGS;
      },
    },
    {
      name: 'tcp-option',
      invert: true,
      parse(s, value, invert, ctx) {
        s.option = uint(ctx, value, 255, 1);
        if (invert) s.invert |= INV_OPTION;
      },
    },
  ],
  check(_s, ctx) {
    if (ctx.proto !== 6 || ctx.protoInvert) throw problem("TCP match requires '-p tcp'");
  },
  save(s) {
    let out = savePorts('sport', s.spts, (s.invert & INV_SRC) !== 0);
    out += savePorts('dport', s.dpts, (s.invert & INV_DST) !== 0);
    if (s.option || s.invert & INV_OPTION) out += `${bang(s.invert & INV_OPTION)} --tcp-option ${s.option}`;
    if (s.flagMask || s.invert & INV_FLAGS)
      out += `${bang(s.invert & INV_FLAGS)} --tcp-flags ${flagText(s.flagMask)} ${flagText(s.flagCmp)}`;
    return out;
  },
  print(s, _ctx, numeric) {
    let out = ' tcp';
    out += listPorts('spt', s.spts, (s.invert & INV_SRC) !== 0, 6, numeric);
    out += listPorts('dpt', s.dpts, (s.invert & INV_DST) !== 0, 6, numeric);
    if (s.option || s.invert & INV_OPTION) out += ` option=${s.invert & INV_OPTION ? '!' : ''}${s.option}`;
    if (s.flagMask || s.invert & INV_FLAGS) {
      const no = s.invert & INV_FLAGS ? '!' : '';
      out += numeric
        ? ` flags:${no}${hex(s.flagMask, 2).toUpperCase().replace('0X', '0x')}/${hex(s.flagCmp, 2).toUpperCase().replace('0X', '0x')}`
        : ` flags:${no}${flagText(s.flagMask)}/${flagText(s.flagCmp)}`;
    }
    return out;
  },
};
