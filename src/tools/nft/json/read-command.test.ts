import { expect, test } from 'vitest';
import type { SetDecl } from '../ast.ts';
import { Workspace } from '../compile.ts';
import { debugExpr } from '../expr/debug.ts';
import { NftError } from '../source.ts';
import { readJsonCommands } from './read-command.ts';
import { jsonStatement } from './statement.ts';
import type { Json } from './types.ts';

const RULES = [
  'tcp dport 22 accept',
  'ip saddr { 10.0.0.1, 10.0.1.0/24 } counter packets 1 bytes 2 drop',
  'ct state established,related accept',
  'udp dport 4789 vxlan ip saddr 10.141.11.0/24 meta mark set 5',
  'iifname . tcp dport vmap { "eth0" . 22 : accept, "eth1" . 23 : jump c }',
  'tcp dport 80 dnat ip to 10.0.0.1:8080',
  'limit rate over 10 kbytes/second burst 2 mbytes log prefix "x" flags all',
  'gre ip protocol 1',
];
const run = (space: Workspace, rule: string): ReturnType<Workspace['run']> => space.run(`add rule inet t c ${rule}`);

test('what a rule lists as in JSON reads back as the same bytecode', () => {
  for (const text of RULES) {
    const space = new Workspace();
    const written = run(space, text);
    const listed = space.listed(written!);
    const expr = listed.stmts.map((s) => jsonStatement(s, { statement: () => null }, 'inet'));
    const [command] = readJsonCommands({
      nftables: [{ add: { rule: { family: 'inet', table: 't', chain: 'c', expr } } }],
    });
    expect(space.command(command)?.exprs.map(debugExpr), text).toEqual(written?.exprs.map(debugExpr));
  }
});

test('a listing is a document that adds what it lists', () => {
  const document: Json = {
    nftables: [
      { metainfo: { json_schema_version: 1 } },
      {
        set: {
          family: 'ip',
          table: 't',
          name: 's',
          type: ['ipv4_addr', 'inet_service'],
          flags: ['interval'],
          elem: [{ concat: ['1.2.3.4', 80] }],
        },
      },
    ],
  };
  const [command] = readJsonCommands(document);
  const set = command.object as SetDecl;
  expect(command.op).toBe('add');
  expect([set.kind, set.name, set.flags, set.key?.kind, set.elements?.kind]).toEqual([
    'setdecl',
    's',
    4,
    'concat',
    'set',
  ]);
});

test('what is no command is an error, never an exception of another kind', () => {
  const bad: Json[] = [
    null,
    1,
    {},
    { nftables: 1 },
    { nftables: [1] },
    { nftables: [{}] },
    { nftables: [{ add: {} }] },
  ];
  bad.push({ nftables: [{ add: { rule: { table: 't', chain: 'c', expr: [{ match: {} }] } } }] });
  for (const json of bad) expect(() => readJsonCommands(json), JSON.stringify(json)).toThrow(NftError);
});
