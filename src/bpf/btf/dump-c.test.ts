import { expect, test } from 'vitest';
import { BtfBuilder } from './build.ts';
import { dumpC, typeName } from './dump-c.ts';
import * as F from './format.ts';

test('types print as C: pointers declared first, bit fields, padding, prototypes, second names', () => {
  const b = new BtfBuilder();
  const int = b.int('int', 4, F.BTF_INT_SIGNED);
  const char = b.int('char', 1, F.BTF_INT_SIGNED);
  const node = b.next;
  b.struct('node', 32, [
    { name: 'next', type: node + 1, bitOffset: 0 },
    { name: 'a', type: int, bitOffset: 64, bitfieldSize: 3 },
    { name: 'call', type: node + 3, bitOffset: 192 },
  ]);
  const pointer = b.ptr(node);
  const proto = b.funcProto(int, [
    { name: 'n', type: pointer },
    { name: '', type: 0 },
  ]);
  b.ptr(proto);
  b.struct('odd', 5, [
    { name: 'c', type: char, bitOffset: 0 },
    { name: 'i', type: int, bitOffset: 8 },
  ]);
  b.enum('state', [{ name: 'UP', value: -1 }], true);
  b.struct('node', 1, [{ name: 'c', type: char, bitOffset: 0 }]);
  const list = b.array(b.ptr(b.const(char)), 4, int);
  const btf = b.build();
  expect(dumpC(btf)).toBe(`struct node;

struct node {
	struct node *next;
	int a: 3;
	unsigned char: 5;
	unsigned char __pad_9[15];
	int (*call)(struct node *n, ...);
};

struct odd {
	char c;
	int i;
} __attribute__((packed));

enum state {
	UP = -1,
};

struct node___2 {
	char c;
};
`);
  expect(typeName(btf, list)).toBe('const char *[4]');
});
