import { expect, test } from 'vitest';
import type { Expr } from '../ast.ts';
import * as dt from '../datatype.ts';
import { jsonExpr } from './expression.ts';
import type { JsonContext } from './types.ts';

const context: JsonContext = { statement: () => null };
const flags = (value: bigint): Expr => ({ kind: 'value', value, type: dt.tcpFlagType, byteorder: 'host', len: 8 });

test('flags of a constant are joined two at a time', () => {
  expect(jsonExpr(flags(0x2n), context)).toBe('syn');
  expect(jsonExpr(flags(0x13n), context)).toEqual({ '|': [{ '|': ['fin', 'syn'] }, 'ack'] });
});

test('flags that are compared are a list', () => {
  const e: Expr = { kind: 'flagcmp', op: '==', expr: { kind: 'symbol', text: 'f' }, mask: flags(3n), value: flags(2n) };
  expect(jsonExpr(e, context)).toEqual({ match: { op: '==', left: { '&': ['f', ['fin', 'syn']] }, right: 'syn' } });
});

test('ports are numbers, addresses text', () => {
  expect(jsonExpr({ kind: 'value', value: 22n, type: dt.inetServiceType, len: 16 }, context)).toBe(22);
  expect(jsonExpr({ kind: 'value', value: 0x0a000001n, type: dt.ipaddrType, len: 32 }, context)).toBe('10.0.0.1');
});
