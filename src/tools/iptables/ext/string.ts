/** Match `string`: a pattern in the packet. */
import { stringMatch as codec, type StringMatch } from '../../../wire/xt/string.ts';
import { problem } from '../errors.ts';
import { bang, type Extension } from '../extension.ts';
import { uint } from '../values.ts';

const INVERT = 1;
const IGNORECASE = 2;
const MAX = 128;
const latin1 = (text: string): number[] => [...new TextEncoder().encode(text)];

/** Bytes of "text|0a 0b|text"; a backslash takes the next character as it is. */
function hexPattern(text: string): number[] {
  const out: number[] = [];
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\' && i + 1 < text.length) out.push(...latin1(text[++i]));
    else if (text[i] !== '|') out.push(...latin1(text[i]));
    else {
      const end = text.indexOf('|', i + 1);
      if (end < 0) throw problem('Bad hex block');
      const digits = text.slice(i + 1, end).replaceAll(' ', '');
      if (!/^([0-9a-fA-F]{2})+$/.test(digits)) throw problem('Bad hex block');
      for (let k = 0; k < digits.length; k += 2) out.push(Number.parseInt(digits.slice(k, k + 2), 16));
      i = end;
    }
  }
  return out;
}

function set(s: StringMatch, bytes: number[], text: string, invert: boolean): void {
  if (bytes.length > MAX) throw problem(`STRING too long "${text}"`);
  s.pattern.set(bytes);
  s.patternLength = bytes.length;
  if (invert) s.flags |= INVERT;
}

/** Hex is needed when a byte is no printable ASCII, or would read as hex. */
function patternText(s: StringMatch): { hex: boolean; text: string } {
  const bytes = [...s.pattern.subarray(0, s.patternLength)];
  const hex = bytes.some((b) => b < 0x20 || b > 0x7e || b === 0x7c);
  if (!hex) return { hex, text: `"${String.fromCharCode(...bytes).replace(/["\\]/g, '\\$&')}"` };
  return { hex, text: `"|${bytes.map((b) => b.toString(16).padStart(2, '0')).join('')}|"` };
}

export const string: Extension<StringMatch> = {
  kind: 'match',
  name: 'string',
  revision: 1,
  codec,
  init(s) {
    s.to = 0xffff;
  },
  options: [
    {
      name: 'from',
      parse(s, value, _invert, ctx) {
        s.from = uint(ctx, value, 65535);
      },
    },
    {
      name: 'to',
      parse(s, value, _invert, ctx) {
        s.to = uint(ctx, value, 65535);
      },
    },
    {
      name: 'algo',
      parse(s, value) {
        s.algo = value.slice(0, 15);
      },
    },
    {
      name: 'string',
      invert: true,
      excl: ['hex-string'],
      parse: (s, value, invert) => set(s, latin1(value), value, invert),
    },
    {
      name: 'hex-string',
      invert: true,
      excl: ['string'],
      parse: (s, value, invert) => set(s, hexPattern(value), value, invert),
    },
    {
      name: 'icase',
      arg: 'none',
      parse(s) {
        s.flags |= IGNORECASE;
      },
    },
  ],
  check(_s, ctx) {
    if (!ctx.seen.has('string') && !ctx.seen.has('hex-string'))
      throw problem("STRING match: You must specify `--string' or `--hex-string'");
    if (!ctx.seen.has('algo')) throw problem("STRING match: You must specify `--algo'");
  },
  save(s) {
    const { hex, text } = patternText(s);
    let out = `${bang(s.flags & INVERT)} --${hex ? 'hex-string' : 'string'} ${text} --algo ${s.algo}`;
    if (s.from !== 0) out += ` --from ${s.from}`;
    if (s.to !== 0xffff) out += ` --to ${s.to}`;
    return s.flags & IGNORECASE ? `${out} --icase` : out;
  },
  print(s) {
    const { text } = patternText(s);
    let out = ` STRING match ${s.flags & INVERT ? '!' : ''} ${text} ALGO name ${s.algo}`.replace('match  ', 'match  ');
    if (s.from !== 0) out += ` FROM ${s.from}`;
    if (s.to !== 0xffff) out += ` TO ${s.to}`;
    return s.flags & IGNORECASE ? `${out} ICASE` : out;
  },
};
