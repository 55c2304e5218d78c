/** Match `multiport`: up to fifteen ports or port ranges. */
import { multiport as codec, type Multiport } from '../../../wire/xt/multiport.ts';
import { problem } from '../errors.ts';
import { bang, type Context, type Extension } from '../extension.ts';
import { portWord, strictPort } from '../values.ts';

const SOURCE = 0;
const DESTINATION = 1;
const EITHER = 2;
const OPTIONS = ['sports', 'dports', 'ports'] as const;

function list(s: Multiport, text: string, proto: number): void {
  let count = 0;
  for (const part of text.split(',')) {
    const colon = part.indexOf(':');
    if (count >= 15 || (colon >= 0 && count >= 14)) throw problem('too many ports specified');
    if (colon < 0) {
      s.ports[count++] = strictPort(part, proto);
    } else {
      const from = strictPort(part.slice(0, colon), proto);
      const to = strictPort(part.slice(colon + 1), proto);
      if (from >= to) throw problem('invalid portrange specified');
      s.pflags[count] = 1;
      s.ports[count++] = from;
      s.ports[count++] = to;
    }
  }
  s.count = count;
}

const PROTOCOLS: readonly number[] = [6, 17, 136, 132, 33];

function parse(s: Multiport, value: string, invert: boolean, ctx: Context, flags: number): void {
  if (!PROTOCOLS.includes(ctx.proto) || ctx.protoInvert) {
    if (ctx.protoInvert) throw problem('multiport only works with TCP, UDP, UDPLITE, SCTP and DCCP');
    throw problem("multiport needs `-p tcp', `-p udp', `-p udplite', `-p sctp' or `-p dccp'");
  }
  s.flags = flags;
  s.invert = invert ? 1 : 0;
  list(s, value, ctx.proto);
}

function portsText(s: Multiport, proto: number, numeric: boolean): string {
  const out: string[] = [];
  for (let i = 0; i < s.count; i++) {
    if (s.pflags[i]) {
      out.push(`${portWord(s.ports[i], proto, numeric)}:${portWord(s.ports[i + 1], proto, numeric)}`);
      i++;
    } else out.push(portWord(s.ports[i], proto, numeric));
  }
  return out.join(',');
}

export const multiport: Extension<Multiport> = {
  kind: 'match',
  name: 'multiport',
  revision: 1,
  codec,
  options: (
    [
      ['source-ports', SOURCE],
      ['sports', SOURCE],
      ['destination-ports', DESTINATION],
      ['dports', DESTINATION],
      ['ports', EITHER],
    ] as const
  ).map(([name, flags]) => ({
    name,
    invert: true,
    parse: (s: Multiport, value: string, invert: boolean, ctx: Context) => parse(s, value, invert, ctx, flags),
  })),
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem('multiport expection an option');
  },
  save: (s, ctx) => `${bang(s.invert)} --${OPTIONS[s.flags] ?? 'ports'} ${portsText(s, ctx.proto, true)}`,
  print: (s, ctx, numeric) =>
    ` multiport ${OPTIONS[s.flags] ?? 'ports'}${s.invert ? ' !' : ''} ${portsText(s, ctx.proto, numeric)}`.replace(
      '! ',
      '!',
    ),
};
