/** Matches `ttl` (IPv4) and `hl` (IPv6): the hop limit. */
import { ttl as codec, type Ttl } from '../../../wire/xt/ttl.ts';
import { problem } from '../errors.ts';
import type { Extension } from '../extension.ts';
import { uint } from '../values.ts';

const EQ = 0;
const NE = 1;
const LT = 2;
const GT = 3;
const WORDS: readonly string[] = ['eq', 'eq', 'lt', 'gt'];

function build(name: 'ttl' | 'hl', family: 4 | 6, label: string): Extension<Ttl> {
  const others = ['eq', 'lt', 'gt'].map((word) => `${name}-${word}`);
  return {
    kind: 'match',
    name,
    revision: 0,
    family,
    codec,
    options: (
      [
        ['eq', EQ],
        ['lt', LT],
        ['gt', GT],
      ] as const
    ).map(([word, mode]) => ({
      name: `${name}-${word}`,
      invert: mode === EQ,
      excl: others.filter((other) => other !== `${name}-${word}`),
      parse(s: Ttl, value: string, invert: boolean, ctx: Parameters<typeof uint>[0]): void {
        s.ttl = uint(ctx, value, 255);
        s.mode = invert ? NE : mode;
      },
    })),
    check(_s, ctx) {
      if (ctx.seen.size === 0)
        throw problem(
          name === 'ttl'
            ? "TTL match: You must specify one of `--ttl-eq', `--ttl-lt', `--ttl-gt"
            : "HL match: You must specify one of `--hl-eq', `--hl-lt', `--hl-gt",
        );
    },
    save: (s) => `${s.mode === NE ? ' !' : ''} --${name}-${WORDS[s.mode]} ${s.ttl}`,
    print: (s) => ` ${label} match ${label} ${['==', '!=', '<', '>'][s.mode]} ${s.ttl}`,
  };
}

export const ttl: Extension<Ttl> = build('ttl', 4, 'TTL');
export const hl: Extension<Ttl> = build('hl', 6, 'HL');
