import { expect, test } from 'vitest';
import { type CompiledRule, Workspace } from './compile.ts';
import { debugElement, debugExpr } from './expr/debug.ts';
import { printRule } from './print/ruleset.ts';
import { formatError, NftError } from './source.ts';

function compile(rule: string, family = 'inet', before: readonly string[] = []): CompiledRule {
  const space = new Workspace({ ifIndex: (name) => (name === 'lo' ? 1 : undefined) });
  for (const line of before) space.run(line);
  return space.run(`add rule ${family} t c ${rule}`)!;
}

function code(rule: string, family = 'inet', before: readonly string[] = []): string[] {
  return compile(rule, family, before).exprs.map((e) => debugExpr(e).replace(/ \]$/, ']'));
}

function error(rule: string, family = 'inet'): string {
  try {
    compile(rule, family);
  } catch (e) {
    if (e instanceof NftError) return formatError(e);
    throw e;
  }
  return '';
}

test('a port comparison is preceded by one of the transport protocol', () => {
  expect(code('tcp dport 22 accept')).toEqual([
    '[ meta load l4proto => reg 1]',
    '[ cmp eq reg 1 0x00000006]',
    '[ payload load 2b @ transport header + 2 => reg 1]',
    '[ cmp eq reg 1 0x00001600]',
    '[ immediate reg 0 accept]',
  ]);
});

test('an address in an inet table is preceded by a comparison of the network protocol, in an ip table not', () => {
  expect(code('ip saddr 10.0.0.1')[0]).toBe('[ meta load nfproto => reg 1]');
  expect(code('ip saddr 10.0.0.1', 'ip')[0]).toBe('[ payload load 4b @ network header + 12 => reg 1]');
});

test('a prefix of whole bytes is a shorter load, another one a mask', () => {
  expect(code('ip saddr 192.168.2.0/24', 'ip')).toEqual([
    '[ payload load 3b @ network header + 12 => reg 1]',
    '[ cmp eq reg 1 0x0002a8c0]',
  ]);
  expect(code('ip saddr 10.0.0.0/23', 'ip')[1]).toBe('[ bitwise reg 1 = ( reg 1 & 0x00feffff ) ^ 0x00000000]');
});

test('flags match when one of them is set; with == they must all be', () => {
  expect(code('ct state new,established')).toEqual([
    '[ ct load state => reg 1]',
    '[ bitwise reg 1 = ( reg 1 & 0x0000000a ) ^ 0x00000000]',
    '[ cmp neq reg 1 0x00000000]',
  ]);
  expect(code('ct state == new')).toEqual(['[ ct load state => reg 1]', '[ cmp eq reg 1 0x00000008]']);
});

test('an anonymous set of ranges becomes sorted boundaries', () => {
  const { sets } = compile('tcp dport { 80-90, 22 } accept');
  expect(sets[0].elements.map(debugElement)).toEqual([
    'element 00000000  : 1 [end]',
    'element 00001600  : 0 [end]',
    'element 00001700  : 1 [end]',
    'element 00005000  : 0 [end]',
    'element 00005b00  : 1 [end]',
  ]);
});

test('neighbouring fields are compared together', () => {
  expect(code('tcp sport 1024 tcp dport 22', 'ip')).toEqual([
    '[ meta load l4proto => reg 1]',
    '[ cmp eq reg 1 0x00000006]',
    '[ payload load 4b @ transport header + 0 => reg 1]',
    '[ cmp eq reg 1 0x16000004]',
  ]);
});

test('a concatenation looks up registers side by side', () => {
  const before = ['add set inet t s { type ipv4_addr . inet_service; }'];
  expect(code('ip saddr . tcp dport @s drop', 'inet', before).slice(4)).toEqual([
    '[ payload load 4b @ network header + 12 => reg 1]',
    '[ payload load 2b @ transport header + 2 => reg 9]',
    '[ lookup reg 1 set s]',
    '[ immediate reg 0 drop]',
  ]);
});

test('a host order key is swapped before it is compared with a range', () => {
  expect(code('meta mark 1-10')).toContain('[ byteorder reg 1 = hton(reg 1, 4, 4)]');
});

test('an error names the place, shows the line and marks it', () => {
  expect(error('tcp dport 99999 accept')).toBe(
    'Error: Value 99999 exceeds valid range 0-65535\n' +
      'add rule inet t c tcp dport 99999 accept\n' +
      `${' '.repeat(28)}^^^^^\n`,
  );
});

test('protocols that exclude each other are refused', () => {
  expect(error('ip saddr 1.1.1.1 ip6 daddr ::1')).toContain('conflicting protocols specified: ip vs. ip6');
});

test('what stands behind a final statement is refused', () => {
  expect(error('accept counter')).toContain('Statement after terminal statement has no effect');
});

test('a syntax error says what was not expected', () => {
  expect(error('tcp dport')).toContain('syntax error, unexpected end of file');
  expect(error('frobnicate 1')).toContain('syntax error, unexpected');
});

test('numbers of the host in a concatenation with ranges are turned round, in maps as in sets, and listed as written', () => {
  const members = (data: string): string => `{ new . 10.0.0.1${data}, new . 192.0.2.1-192.0.2.9${data} }`;
  for (const rule of [
    `ct state . ip daddr vmap ${members(' : accept')}`,
    `ct state . ip daddr ${members('')} accept`,
  ]) {
    expect(code(rule, 'ip').slice(0, 3)).toEqual([
      '[ ct load state => reg 1]',
      '[ byteorder reg 1 = hton(reg 1, 4, 4)]',
      '[ payload load 4b @ network header + 16 => reg 9]',
    ]);
    const space = new Workspace();
    const compiled = space.run(`add rule ip t c ${rule}`)!;
    expect(printRule(space.listed(compiled), {})).toBe(rule);
  }
});
