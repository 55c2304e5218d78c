import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { build } from './build.ts';
import { sourceFrom } from './byte-source.ts';
import { capturePackets, readCapture } from './capture.ts';
import * as L from './layer.ts';
import { type CapturedPacket, CaptureError, readPcap, writePcap } from './pcap.ts';
import { readPcapng, writePcapng } from './pcapng.ts';
import { summary, tree } from './print.ts';

const packets: fc.Arbitrary<CapturedPacket[]> = fc.array(
  fc.record({
    timeNs: fc.bigInt(0n, 4_000_000_000_000_000_000n),
    bytes: fc.uint8Array({ maxLength: 70 }),
    length: fc.integer({ min: 70, max: 1500 }),
    linkType: fc.constant(1),
  }),
  { maxLength: 6 },
);

test('pcap and pcapng files read back as they were written', () => {
  fc.assert(
    fc.property(packets, (list) => {
      expect(readCapture(writePcap(list))).toEqual(list);
    }),
  );
  fc.assert(
    fc.property(
      packets,
      fc.constantFrom('lan', 'wan0'),
      fc.array(fc.string(), { minLength: 1, maxLength: 2 }),
      fc.constantFrom('in' as const, 'out' as const),
      (list, dev, comments, direction) => {
        const full = list.map((p) => ({ ...p, dev, comments, direction }));
        expect(readCapture(writePcapng(full))).toEqual(full);
      },
    ),
  );
});

test('a file read in pieces of any size gives the same packets as a file in memory', () => {
  fc.assert(
    fc.property(packets, fc.boolean(), fc.integer({ min: 1, max: 50 }), (list, ng, size) => {
      const bytes = ng ? writePcapng(list.map((p) => ({ ...p, dev: 'lan' }))) : writePcap(list);
      let at = 0;
      const source = sourceFrom((into) => {
        const part = bytes.subarray(at, at + Math.min(size, into.length));
        into.set(part);
        at += part.length;
        return part.length;
      });
      expect([...capturePackets(source)]).toEqual(readCapture(bytes));
    }),
  );
});

/** The same file in the other byte order, for the words given by offset and size. */
function swap(bytes: Uint8Array, words: readonly (readonly [number, number])[]): Uint8Array {
  const out = bytes.slice();
  for (const [at, size] of words) out.subarray(at, at + size).reverse();
  return out;
}

test('big-endian files and microseconds are read', () => {
  const p: CapturedPacket = { timeNs: 5_000_000_007_000n, bytes: Uint8Array.of(1, 2, 3, 4), length: 4, linkType: 1 };
  const big = swap(writePcap([p]), [
    [0, 4],
    [4, 2],
    [6, 2],
    [8, 4],
    [12, 4],
    [16, 4],
    [20, 4],
    [24, 4],
    [28, 4],
    [32, 4],
    [36, 4],
  ]);
  expect(readPcap(big)).toEqual([p]);
  const micro = writePcap([{ ...p, timeNs: 5_000_000_000_007n }]);
  new DataView(micro.buffer).setUint32(0, 0xa1b2c3d4, true);
  expect(readPcap(micro)[0].timeNs).toBe(5_000_000_007_000n);
});

test('a file cut anywhere is an error with an offset, and the packets before the cut are kept', () => {
  const list: CapturedPacket[] = [1, 2].map((n) => ({
    timeNs: BigInt(n),
    bytes: new Uint8Array(20).fill(n),
    length: 20,
    linkType: 1,
  }));
  for (const [whole, read] of [
    [writePcap(list), readPcap],
    [writePcapng(list), readPcapng],
  ] as const)
    for (let n = 0; n < whole.length; n++)
      try {
        expect(read(whole.subarray(0, n)).length).toBeLessThan(2);
      } catch (error) {
        expect(error).toBeInstanceOf(CaptureError);
        expect((error as CaptureError).offset).toBeLessThanOrEqual(n);
      }
});

test('damaged files never cause another kind of error', () => {
  const whole = writePcapng([
    { timeNs: 1n, bytes: new Uint8Array(9), length: 9, linkType: 1, dev: 'a', comments: ['x'] },
  ]);
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
      const bad = whole.slice();
      bad[at] = value;
      try {
        readCapture(bad);
      } catch (error) {
        expect(error).toBeInstanceOf(CaptureError);
      }
    }),
  );
});

const sample: readonly (readonly [L.Layer[], string])[] = [
  [
    [
      L.ether(),
      L.ip({ saddr: '10.0.0.7', daddr: '203.0.113.9' }),
      L.tcp({ sport: 40000, dport: 443, flags: 2 }, [L.mss(1460)]),
    ],
    'IP 10.0.0.7.40000 > 203.0.113.9.443: Flags [S], seq 0, win 64240, length 0',
  ],
  [
    [
      L.ether(),
      L.vlan({ id: 10 }),
      L.ip6({ saddr: '2001:db8::1', daddr: '2001:db8::2' }),
      L.udp({ sport: 5, dport: 9999 }),
      L.payload('hi'),
    ],
    'vlan 10, IP6 2001:db8::1.5 > 2001:db8::2.9999: UDP, length 2',
  ],
  [
    [L.ether(), L.ip({ saddr: '10.0.0.7', daddr: '10.0.0.1' }), L.icmp({ type: 8, id: 7, sequence: 1 })],
    'IP 10.0.0.7 > 10.0.0.1: ICMP echo request, id 7, seq 1, length 8',
  ],
  [
    [L.ether(), L.arp({ operation: 1, 'saddr ip': '10.0.0.7', 'daddr ip': '10.0.0.1' })],
    'ARP, Request who-has 10.0.0.1 tell 10.0.0.7',
  ],
  [
    [L.ether(), L.ip6({ saddr: 'fe80::1', daddr: 'ff02::1:ff00:2' }), L.icmpv6({ type: 135 }), L.neighbour('fe80::2')],
    'IP6 fe80::1 > ff02::1:ff00:2: ICMP6, neighbor solicitation, target fe80::2, length 24',
  ],
  [
    [
      L.ether(),
      L.ip({ saddr: '10.0.0.7', daddr: '10.0.0.1' }),
      L.sctp({ sport: 1, dport: 2 }, [{ type: 1, flags: 0, value: new Uint8Array(16) }]),
    ],
    'IP 10.0.0.7.1 > 10.0.0.1.2: sctp [INIT]',
  ],
];

test('summaries read like tcpdump, and the tree names every field', () => {
  for (const [layers, line] of sample) expect(summary(build(layers))).toBe(line);
  expect(tree(build(sample[0][0]))).toContain('    dport          443\n');
});

const tshark = spawnSync('tshark', ['--version']);
test.skipIf(tshark.error !== undefined)(
  'tshark opens a written capture without malformed packets or bad checksums',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'netloom-'));
    try {
      const file = join(folder, 'x.pcapng');
      writeFileSync(
        file,
        writePcapng(
          sample.map(([l], i) => ({
            timeNs: BigInt(i),
            bytes: build(l),
            length: build(l).length,
            linkType: 1,
            dev: 'lan',
            comments: ['DROP: rule 4'],
          })),
        ),
      );
      const options = ['ip', 'tcp', 'udp'].flatMap((p) => ['-o', `${p}.check_checksum:TRUE`]);
      const { stdout, stderr } = spawnSync('tshark', [...options, '-r', file, '-V'], { encoding: 'utf8' });
      expect(stderr.replace(/Running as user.*\n/, '')).toBe('');
      expect(stdout.match(/.*(?:[Mm]alformed|incorrect,|Status: Bad).*/g)).toBe(null);
      expect(stdout.match(/DROP: rule 4/g)?.length).toBeGreaterThanOrEqual(sample.length);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
