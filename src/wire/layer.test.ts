import fc from 'fast-check';
import { expect, test } from 'vitest';
import { build } from './build.ts';
import { checksum, crc32c, pseudo4 } from './checksum.ts';
import { readField, writeField } from './field.ts';
import * as L from './layer.ts';
import { parseFrame, parsePacket } from './parse.ts';
import { TABLES } from './tables.ts';

const view = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.length);

test('every field reads back what was written and leaves its neighbours alone', () => {
  for (const table of Object.values(TABLES))
    for (const field of table.fields)
      fc.assert(
        fc.property(fc.uint8Array({ minLength: table.length, maxLength: table.length }), (bytes) => {
          const value = readField(view(bytes), 0, field);
          const copy = new Uint8Array(table.length);
          writeField(view(copy), 0, field, value);
          expect(readField(view(copy), 0, field)).toEqual(value);
          const again = Uint8Array.from(bytes);
          writeField(view(again), 0, field, value);
          expect(again).toEqual(bytes);
        }),
        { numRuns: 20 },
      );
});

test('any bytes parse without an exception and build back to the same bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
      expect(build(parseFrame(bytes))).toEqual(bytes);
      expect(build(parsePacket(bytes))).toEqual(bytes);
    }),
  );
});

const text4 = fc.ipV4();
const port = fc.nat(0xffff);
const opt = fc.constantFrom(
  L.mss(1460),
  L.windowScale(7),
  L.sackPermitted,
  L.timestamp(1, 2),
  { kind: 1, data: new Uint8Array(0) },
  { kind: 99, data: Uint8Array.of(1, 2, 3) },
);
const upper = fc.oneof(
  fc
    .tuple(port, port, fc.array(opt, { maxLength: 4 }))
    .map(([sport, dport, o]) => L.tcp({ sport, dport, flags: 2 }, o)),
  fc.tuple(port, port).map(([sport, dport]) => L.udp({ sport, dport })),
  port.map((id) => L.icmp({ type: 8, id })),
  fc
    .array(fc.record({ type: fc.nat(14), flags: fc.nat(255), value: fc.uint8Array({ maxLength: 9 }) }), {
      maxLength: 3,
    })
    .map((chunks) => L.sctp({ sport: 1, dport: 2, vtag: 3 }, chunks)),
);

test('corrupted packets parse without an exception and build back to the same bytes', () => {
  fc.assert(
    fc.property(
      text4,
      upper,
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(),
      fc.nat(255),
      fc.nat(80),
      (a, u, data, i, v, cut) => {
        const bytes = build([L.ether(), L.vlan({ id: 5 }), L.ip({ saddr: a, daddr: a }), u, L.payload(data)]);
        bytes[i % bytes.length] = v;
        const short = bytes.slice(0, Math.max(0, bytes.length - cut));
        expect(build(parseFrame(short))).toEqual(short);
      },
    ),
  );
});

test('lengths and checksums are computed, and what was given reads back', () => {
  fc.assert(
    fc.property(text4, text4, upper, fc.uint8Array({ maxLength: 40 }), (saddr, daddr, layer, data) => {
      const stack = layer.kind === 'sctp' ? [layer] : [layer, L.payload(data)];
      const bytes = build([L.ether(), L.ip({ saddr, daddr }), ...stack]);
      const parsed = parseFrame(bytes);
      expect(parsed[1].fields).toMatchObject({ saddr, daddr, length: bytes.length - 14, hdrlength: 5 });
      expect(parsed[2].kind).toBe(layer.kind);
      expect(parsed[2].fields).toMatchObject(layer.fields);
      const dv = view(bytes);
      expect(checksum(dv, 14, 20)).toBe(0);
      const length = bytes.length - 34;
      if (layer.kind === 'icmp') expect(checksum(dv, 34, length)).toBe(0);
      if (layer.kind === 'tcp' || layer.kind === 'udp')
        expect(checksum(dv, 34, length, pseudo4(dv, 14, bytes[23], length))).toBe(0);
      if (layer.kind === 'sctp') {
        const crc = dv.getUint32(42, true);
        dv.setUint32(42, 0);
        expect(crc32c(bytes, 34, length)).toBe(crc);
      }
    }),
  );
});

test('IPv6 extension headers, Neighbour Discovery and tags stack', () => {
  const bytes = build([
    L.ether(),
    L.vlan({ id: 100 }),
    L.vlan({ id: 7, pcp: 3 }),
    L.ip6({ saddr: 'fe80::1', daddr: 'ff02::1:ff00:2', hoplimit: 255 }),
    { kind: 'hbh', fields: {}, options: [{ kind: 5, data: Uint8Array.of(0, 0) }] },
    L.icmpv6({ type: 135 }),
    L.neighbour('fe80::2', [{ kind: 1, data: Uint8Array.of(2, 0, 0, 0, 0, 1) }]),
  ]);
  const layers = parseFrame(bytes);
  expect(layers.map((l) => l.kind)).toEqual(['ether', 'vlan', 'vlan', 'ip6', 'hbh', 'icmpv6', 'neighbour']);
  expect(layers[0].fields.type).toBe(0x88a8);
  expect(layers[1].fields.type).toBe(0x8100);
  expect(layers[6]).toMatchObject({ fields: { target: 'fe80::2' }, options: [{ kind: 1 }] });
});

test('a value that does not fit is refused by layer and field', () => {
  expect(() => build([L.udp({ dport: 70000 })])).toThrow('udp dport: 70000 does not fit into 16 bits');
  expect(() => build([L.ip({ saddr: 'x' })])).toThrow('ip saddr: x is no IPv4 address');
});
