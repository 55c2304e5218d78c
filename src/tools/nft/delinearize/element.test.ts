import { expect, test } from 'vitest';
import { AttrWriter, attrMap } from '../../../wire/netlink/attr.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import * as dt from '../datatype.ts';
import { element, type PrintContext } from '../print/expr.ts';
import { stmt } from '../print/stmt.ts';
import { type Part, readElements } from './element.ts';

const context: PrintContext = { stmt };
const address: Part = { type: dt.ipaddrType, len: 32, byteorder: 'big' };
const port: Part = { type: dt.inetServiceType, len: 16, byteorder: 'big' };

type Member = { readonly key: readonly number[]; readonly end?: readonly number[]; readonly flags?: number };

function list(members: readonly Member[]) {
  const w = new AttrWriter();
  w.nest(U.NFTA_SET_ELEM_LIST_ELEMENTS, (n) => {
    for (const { key, end, flags } of members)
      n.nest(U.NFTA_LIST_ELEM, (e) => {
        if (flags !== undefined) e.beU32(U.NFTA_SET_ELEM_FLAGS, flags);
        e.nest(U.NFTA_SET_ELEM_KEY, (d) => d.bytes(U.NFTA_DATA_VALUE, Uint8Array.from(key)));
        if (end) e.nest(U.NFTA_SET_ELEM_KEY_END, (d) => d.bytes(U.NFTA_DATA_VALUE, Uint8Array.from(end)));
      });
  });
  const attr = attrMap(w.finish()).get(U.NFTA_SET_ELEM_LIST_ELEMENTS);
  return attr === undefined ? [] : [attr];
}

const END = U.NFT_SET_ELEM_INTERVAL_END;
const text = (flags: number, key: readonly Part[], members: readonly Member[]): string[] =>
  readElements({ flags, key }, list(members)).map((one) => element(one, context));

test('half-open pieces become prefixes, single addresses and ranges', () => {
  const members: Member[] = [
    { key: [0, 0, 0, 0], flags: END },
    { key: [10, 0, 0, 0] },
    { key: [11, 0, 0, 0], flags: END },
    { key: [192, 168, 0, 1] },
    { key: [192, 168, 0, 2], flags: END },
    { key: [192, 168, 1, 1] },
    { key: [192, 168, 1, 5], flags: END },
  ];
  expect(text(U.NFT_SET_INTERVAL, [address], members)).toEqual([
    '10.0.0.0/8',
    '192.168.0.1',
    '192.168.1.1-192.168.1.4',
  ]);
});

test('the last piece without an end reaches to the top', () => {
  expect(text(U.NFT_SET_INTERVAL, [port], [{ key: [4, 0] }])).toEqual(['1024-65535']);
});

test('ranges in concatenations are read from both keys', () => {
  const members: Member[] = [{ key: [10, 0, 0, 0, 0, 22, 0, 0], end: [10, 255, 255, 255, 0, 80, 0, 0] }];
  expect(text(U.NFT_SET_INTERVAL | U.NFT_SET_CONCAT, [address, port], members)).toEqual(['10.0.0.0/8 . 22-80']);
});

test('members are listed in the order of their values', () => {
  expect(text(0, [port], [{ key: [1, 187] }, { key: [0, 22] }, { key: [0, 80] }])).toEqual(['22', '80', '443']);
});
