import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Slab } from '../../core/slab.ts';
import { verify } from '../verifier/verify.ts';
import { compileTrace, TraceError, TraceSession } from './index.ts';
import { tokenize } from './lex.ts';
import { printf, valueText } from './output.ts';
import { parseTrace } from './parse.ts';

const WORDS = [
  ...[
    'kfree_skb',
    'ip_rcv',
    'BEGIN',
    'args.skb',
    'args.reason',
    '->len',
    '.dev',
    '->name',
    '@',
    '@x',
    '[',
    ']',
    '{',
    '}',
  ],
  ...['(', ')', '/', '+', '-', '*', '==', '&&', '!', '?', ':', ';', ',', '=', '++', '+=', '$v', '1', '0x10', '"t"'],
  ...[
    'count()',
    'sum(',
    'hist(1)',
    'if',
    'else',
    'printf(',
    'saddr(',
    'host',
    'nsecs',
    'str(',
    'delete(@x)',
    'print(@x)',
  ],
];

/** Random expressions that mean something. */
const number: fc.Arbitrary<string> = fc.letrec<{ e: string }>((tie) => ({
  e: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(
      '1',
      '0',
      '4294967296',
      'nsecs',
      'cpu',
      'args.reason',
      'args.skb->len',
      'args.skb->dev->ifindex',
      '$v',
    ),
    fc.constantFrom(
      'NO_SOCKET',
      'dport(args.skb)',
      'u16(args.skb->data + 4)',
      'args.rx_sk->sk_mark',
      '@m[1]',
      '(host == "r")',
    ),
    fc
      .tuple(
        tie('e'),
        fc.constantFrom('+', '-', '*', '/', '%', '<<', '>>', '<', '>=', '==', '&&', '||', '&', '^'),
        tie('e'),
      )
      .map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc.tuple(tie('e'), tie('e'), tie('e')).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
    tie('e').map((e) => `(-${e})`),
    tie('e').map((e) => `!${e}`),
  ),
})).e;

describe('the tracing language', () => {
  it('refuses nonsense with a place in it, and nothing else', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...WORDS), { maxLength: 30 }), (words) => {
        try {
          compileTrace(words.join(' '));
        } catch (error) {
          if (!(error instanceof TraceError)) throw error;
          expect(error.line).toBeGreaterThan(0);
        }
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (text) => {
        try {
          parseTrace(text);
        } catch (error) {
          if (!(error instanceof TraceError)) throw error;
        }
      }),
    );
  });

  it('compiles to programs that the verifier accepts', () => {
    fc.assert(
      fc.property(number, number, (filter, value) => {
        const text = `kfree_skb { $v = ${value.replaceAll('$v', '2')}; if (${filter}) { @m[1] = $v; @h[host] = hist(${value}); } @s = sum(${filter}); }`;
        let compiled: ReturnType<typeof compileTrace>;
        try {
          compiled = compileTrace(text);
        } catch (error) {
          // Deep expressions need more stack than there is.
          if (error instanceof TraceError && error.message.includes('stack')) return;
          throw error;
        }
        for (const { insns, point } of compiled.programs) {
          const spec = { name: 'p', section: '', type: 26, expectedAttachType: 23, flags: 0, license: 'GPL' };
          const verdict = verify({ ...spec, insns, maps: compiled.plan.specs(), target: point?.name });
          expect([text, verdict.message]).toEqual([text, '']);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('counts lines and columns', () => {
    expect(tokenize('a\n  b').map((t) => [t.text, t.line, t.column])).toEqual([
      ['a', 1, 1],
      ['b', 2, 3],
      ['', 2, 4],
    ]);
  });

  it('gives the memory of its maps back', () => {
    const slab = new Slab({ slots: 16, largeSlots: 1 });
    const options = { slab, now: () => 5, random: () => 1 };
    let out = '';
    const session = new TraceSession('BEGIN { @[nsecs] = count(); @t = "text"; }', {
      ...options,
      write: (t) => (out += t),
    });
    session.begin();
    session.end();
    session.close();
    expect(out).toBe('@[5]: 1\n@t: text\n');
  });
});

describe('output', () => {
  const bytes = (n: bigint): Uint8Array => new Uint8Array(new BigUint64Array([n]).buffer);
  const text = (s: string): Uint8Array => Uint8Array.from({ length: 16 }, (_, i) => s.charCodeAt(i) || 0);

  it('shows values as what they are', () => {
    expect(valueText(bytes(2n ** 64n - 1n), { bytes: 8, show: 'signed' })).toBe('-1');
    expect(valueText(bytes(0x0100007fn), { bytes: 8, show: 'ip4' })).toBe('127.0.0.1');
    expect(valueText(text('eth0'), { bytes: 16, show: 'text' })).toBe('eth0');
    const address = new Uint8Array(24);
    address[0] = 10;
    address.set([0x20, 0x01, 0x0d, 0xb8], 8);
    address[23] = 1;
    expect(valueText(address, { bytes: 24, show: 'addr' })).toBe('2001:db8::1');
  });

  it('formats as printf does', () => {
    const value = (n: bigint) => ({ bytes: bytes(n), shape: { bytes: 8, show: 'unsigned' } as const });
    expect(printf('%d|%x|%X|%5u|%-3d|%03d|%%|%lld\n', [10n, 255n, 255n, 7n, 7n, 7n, 2n ** 64n - 5n].map(value))).toBe(
      '10|ff|FF|    7|7  |007|%|-5\n',
    );
  });
});
