/** Match `u32`: words of the packet, shifted and masked. */
import { u32Match as codec, type U32Match, type U32Test } from '../../../wire/xt/u32.ts';
import { problem } from '../errors.ts';
import { bang, type Extension, hex } from '../extension.ts';
import { number } from '../values.ts';

const OPS: readonly string[] = ['&', '<<', '>>', '@'];
const MAX = 10;

/** "0>>22&0x3C@4=0x29,0x31:0x33&&..." */
function parse(s: U32Match, text: string): void {
  const tests = text.replace(/\s+/g, '').split('&&');
  if (tests.length > MAX) throw problem(`u32: at char 0: too many "&&"s`);
  const read = (word: string): number => {
    const value = number(word);
    if (value === undefined) throw problem(`u32: at char ${text.indexOf(word)}: number expected`);
    return value;
  };
  tests.forEach((part, i) => {
    const equals = part.indexOf('=');
    if (equals < 0) throw problem(`u32: at char ${text.length}: = expected`);
    const test = s.tests[i];
    const tokens = part.slice(0, equals).split(/(<<|>>|&|@)/);
    if ((tokens.length + 1) / 2 > MAX) throw problem('u32: at char 0: too many operators');
    test.nnums = 0;
    for (let k = 0; k < tokens.length; k += 2) {
      test.location[test.nnums].number = read(tokens[k]);
      if (k > 0) test.location[test.nnums].nextop = OPS.indexOf(tokens[k - 1]);
      test.nnums++;
    }
    const values = part.slice(equals + 1).split(',');
    if (values.length > MAX) throw problem('u32: at char 0: too many ","s');
    values.forEach((value, k) => {
      const [from, to] = value.split(':');
      test.value[k].min = read(from);
      test.value[k].max = to === undefined ? test.value[k].min : read(to);
    });
    test.nvalues = values.length;
  });
  s.ntests = tests.length;
}

function testText(test: U32Test): string {
  let out = '';
  for (let i = 0; i < test.nnums; i++) {
    if (i > 0) out += OPS[test.location[i].nextop];
    out += hex(test.location[i].number);
  }
  const values = test.value.slice(0, test.nvalues);
  return `${out}=${values.map((v) => (v.min === v.max ? hex(v.min) : `${hex(v.min)}:${hex(v.max)}`)).join(',')}`;
}

const text = (s: U32Match): string => `"${s.tests.slice(0, s.ntests).map(testText).join('&&')}"`;

export const u32: Extension<U32Match> = {
  kind: 'match',
  name: 'u32',
  revision: 0,
  codec,
  options: [
    {
      name: 'u32',
      invert: true,
      mandatory: true,
      parse(s, value, invert) {
        parse(s, value);
        s.invert = invert ? 1 : 0;
      },
    },
  ],
  save: (s) => `${bang(s.invert)} --u32 ${text(s)}`,
  print: (s) => ` u32${s.invert ? ' !' : ''} ${text(s)}`,
};
