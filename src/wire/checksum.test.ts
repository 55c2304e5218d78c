import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checksum, crc32c, update16, update32 } from './checksum.ts';

test('the example of RFC 1071 sums to what it says', () => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  expect(checksum(new DataView(bytes.buffer), 0, 8)).toBe(0xddf2 ^ 0xffff);
});

test('an incremental update gives the checksum of the changed bytes', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 12, maxLength: 60 }),
      fc.nat(0xffff),
      fc.nat(0xffffffff),
      (bytes, word, long) => {
        const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        bytes[0] |= 1; // all-zero data has two sums, 0 and 0xffff
        const before = checksum(dv, 0, bytes.length);
        const old16 = dv.getUint16(2);
        dv.setUint16(2, word);
        const middle = checksum(dv, 0, bytes.length);
        expect(update16(before, old16, word)).toBe(middle);
        const old32 = dv.getUint32(4);
        dv.setUint32(4, long);
        expect(update32(middle, old32, long)).toBe(checksum(dv, 0, bytes.length));
      },
    ),
  );
});

test('CRC32c of "123456789" is the check value of the polynomial', () => {
  expect(crc32c(new TextEncoder().encode('123456789'), 0, 9)).toBe(0xe3069283);
});
