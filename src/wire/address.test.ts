import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  formatAddress,
  formatMac,
  maskLength,
  netmask,
  parseAddress,
  parseIpv4,
  parseIpv6,
  parseMac,
  parsePrefix,
} from './address.ts';

const bytes = (n: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: n, maxLength: n });

test('text of any address reads back as the same bytes', () => {
  const zeros = fc.array(fc.constantFrom(0, 0, 0, 1, 0xff), { minLength: 16, maxLength: 16 });
  fc.assert(
    fc.property(
      fc.oneof(
        bytes(4),
        bytes(16),
        zeros.map((list) => Uint8Array.from(list)),
      ),
      (address) => {
        expect(parseAddress(formatAddress(Uint8Array.from(address)))).toEqual(Uint8Array.from(address));
      },
    ),
  );
  fc.assert(
    fc.property(bytes(6), (mac) => {
      expect(parseMac(formatMac(mac))).toEqual(Uint8Array.from(mac));
    }),
  );
});

test('IPv6 output is the shortest form of RFC 5952, with the first longest run of zeros compressed', () => {
  for (const [text, out] of [
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
    ['::10.0.0.1', '::10.0.0.1'],
    ['fe80::', 'fe80::'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
  ])
    expect(formatAddress(parseIpv6(text)!)).toBe(out);
});

test('malformed addresses are refused', () => {
  for (const bad of ['1.2.3', '1.2.3.256', '01.2.3.4', '', 'a']) expect(parseIpv4(bad), bad).toBe(undefined);
  for (const bad of [
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '::1.2.3',
    '1.2.3.4::',
    '12345::',
    ':1',
    '1:2:3:4:5:6:7::8',
  ])
    expect(parseIpv6(bad), bad).toBe(undefined);
  expect(parsePrefix('10.0.0.0/33')).toBe(undefined);
  expect(parsePrefix('10.0.0.0/8')?.length).toBe(8);
});

test('a netmask is its prefix length', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 128 }), (n) => maskLength(netmask(n, 16)) === n));
  expect(maskLength(Uint8Array.of(255, 0, 255, 0))).toBe(-1);
});
