import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AttrWriter, attrMap, getBeU32, getString, readAttrs } from './attr.ts';
import { emitMessages, parseMessages } from './message.ts';

test('attributes read back as written, nests included', () => {
  const bytes = new AttrWriter()
    .string(1, 'filter')
    .nest(2, (w) => w.beU32(1, 7).flag(2))
    .finish();
  const attrs = attrMap(bytes);
  expect(getString(attrs.get(1)!.payload)).toBe('filter');
  const nested = readAttrs(attrs.get(2)!.payload);
  expect(nested.map((a) => a.type)).toEqual([1, 2]);
  expect(getBeU32(nested[0].payload)).toBe(7);
});

test('messages survive emit and parse', () => {
  const message = fc.record({
    type: fc.nat(0xffff),
    flags: fc.nat(0xffff),
    seq: fc.nat(),
    port: fc.nat(),
    payload: fc.uint8Array({ maxLength: 64 }),
  });
  fc.assert(
    fc.property(fc.array(message), (messages) => {
      const back = parseMessages(emitMessages(messages));
      expect(back.map((m) => ({ ...m, payload: [...m.payload] }))).toEqual(
        messages.map((m) => ({ ...m, payload: [...m.payload] })),
      );
    }),
  );
});

test('hostile bytes never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const m of parseMessages(bytes)) readAttrs(m.payload);
      readAttrs(bytes);
    }),
  );
});

test('a writer keeps what it wrote as it grows', () => {
  const w = new AttrWriter();
  for (let i = 0; i < 1000; i++) w.u8(1, i & 255).beU32(2, i);
  const attrs = readAttrs(w.finish());
  expect(attrs.length).toBe(2000);
  expect(attrs.every((a, i) => (i & 1 ? getBeU32(a.payload) === i >> 1 : a.payload[0] === ((i >> 1) & 255)))).toBe(
    true,
  );
});
