/** Targets `TTL` (IPv4) and `HL` (IPv6): change the hop limit. */
import { ttlTarget as codec, type TtlTarget } from '../../../wire/xt/ttl-target.ts';
import { problem } from '../errors.ts';
import type { Context, Extension } from '../extension.ts';
import { uint } from '../values.ts';

const WORDS: readonly string[] = ['set', 'inc', 'dec'];
const LABELS: readonly string[] = ['set to', 'increment by', 'decrement by'];

function build(name: 'TTL' | 'HL', family: 4 | 6): Extension<TtlTarget> {
  const prefix = name.toLowerCase();
  const names = WORDS.map((word) => `${prefix}-${word}`);
  return {
    kind: 'target',
    name,
    revision: 0,
    family,
    codec,
    options: names.map((option, mode) => ({
      name: option,
      excl: names.filter((other) => other !== option),
      parse(s: TtlTarget, value: string, _invert: boolean, ctx: Context): void {
        s.ttl = uint(ctx, value, 255, mode === 0 ? 0 : 1);
        s.mode = mode;
      },
    })),
    check(_s, ctx) {
      if (ctx.seen.size === 0) throw problem(`${name}: You must specify an action`);
    },
    save: (s) => ` --${prefix}-${WORDS[s.mode]} ${s.ttl}`,
    print: (s) => ` ${name} ${LABELS[s.mode]} ${s.ttl}`,
  };
}

export const TTL: Extension<TtlTarget> = build('TTL', 4);
export const HL: Extension<TtlTarget> = build('HL', 6);
