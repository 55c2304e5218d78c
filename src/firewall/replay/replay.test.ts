import { expect, test } from 'vitest';
import { build } from '../../wire/build.ts';
import { arp, ether, icmp, ip, type Layer, payload, tcp, udp } from '../../wire/layer.ts';
import { type CapturedPacket, LINKTYPE_ETHERNET, LINKTYPE_RAW } from '../../wire/pcap.ts';
import { ACK, RST, SYN } from '../../wire/tcp.ts';
import { parseIface, parseRoute } from '../infer.ts';
import { Replay, type ReplayOptions } from './replay.ts';
import { judgedText, replayReport, replayText } from './report.ts';

const RULES = `table inet f {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ct state invalid drop
    iifname "lan" tcp dport 443 accept
    iifname "lan" udp dport 53 limit rate 1/second burst 1 packets accept
    iifname "lan" tcp dport 25 reject
  }
  chain input { type filter hook input priority 0; tcp dport 22 accept; tcp dport 23 drop; }
}
table ip n { chain post { type nat hook postrouting priority 100; oifname "wan" masquerade; } }
`;

const OPTIONS: ReplayOptions = {
  text: RULES,
  file: 'fw.nft',
  given: {
    ifaces: [parseIface('lan=10.0.0.1/24'), parseIface('wan=192.0.2.2/24')],
    routes: [parseRoute('default via 192.0.2.1')],
  },
};

/** A captured packet at a time in milliseconds. */
function at(ms: number, layers: readonly Layer[], more: Partial<CapturedPacket> = {}): CapturedPacket {
  const raw = more.linkType === LINKTYPE_RAW;
  const bytes = build(raw ? layers : [ether({ daddr: '02:00:00:00:00:99' }), ...layers]);
  return {
    timeNs: 1_790_000_000_000_000_000n + BigInt(ms) * 1_000_000n,
    bytes,
    length: bytes.length,
    linkType: LINKTYPE_ETHERNET,
    ...more,
  };
}

const segment = (saddr: string, daddr: string, sport: number, dport: number, flags: number): Layer[] => [
  ip({ saddr, daddr }),
  tcp({ sport, dport, flags, sequence: flags & SYN ? 1000 : 1001, ackseq: flags & ACK ? 1001 : 0 }),
];

function outcomes(packets: readonly CapturedPacket[], options: Partial<ReplayOptions> = {}): string[] {
  const replay = new Replay({ ...OPTIONS, ...options }, packets);
  return packets.map((packet) => judgedText(replay.packet(packet)));
}

const CONNECTION = [
  at(0, segment('10.0.0.7', '203.0.113.9', 40000, 443, SYN)),
  at(10, segment('203.0.113.9', '10.0.0.7', 443, 40000, SYN | ACK)),
  at(20, segment('10.0.0.7', '203.0.113.9', 40000, 443, ACK)),
];

test('a capture of the inner side of a NAT: answers are those of the connection', () => {
  expect(outcomes(CONNECTION)).toEqual([
    'forwarded, in on lan by fw.nft:6 iifname "lan" tcp dport 443 accept',
    'forwarded, in on wan by fw.nft:4 ct state established,related accept',
    'forwarded, in on lan by fw.nft:4 ct state established,related accept',
  ]);
});

test('an answer without a connection is not one', () => {
  expect(outcomes(CONNECTION.slice(1, 2))).toEqual(['dropped, in on wan by fw.nft:5 ct state invalid drop']);
});

test('where both sides are captured, packets that the host sent on are copies', () => {
  const inside = { dev: 'lan' };
  const outside = { dev: 'wan' };
  const packets = [
    at(0, segment('10.0.0.7', '203.0.113.9', 40000, 443, SYN), inside),
    at(1, segment('203.0.113.9', '192.0.2.2', 443, 40000, SYN | ACK), outside),
    at(2, segment('203.0.113.9', '10.0.0.7', 443, 40000, SYN | ACK), inside),
    at(3, segment('10.0.0.7', '203.0.113.9', 40000, 443, ACK), { ...inside, direction: 'in' }),
    at(3, segment('192.0.2.2', '203.0.113.9', 40000, 443, ACK), { ...outside, direction: 'in' }),
  ];
  const replay = new Replay(OPTIONS, packets);
  expect(packets.map((packet) => replay.packet(packet).outcome)).toEqual([
    'forwarded',
    'forwarded',
    'copy',
    'forwarded',
    'dropped',
  ]);
});

test('time passes as in the capture: a limit fills up again', () => {
  const question = (ms: number): CapturedPacket =>
    at(ms, [ip({ saddr: '10.0.0.7', daddr: '9.9.9.9' }), udp({ sport: 5000 + ms, dport: 53 }), payload('x')]);
  const words = outcomes([question(0), question(10), question(1500)]).map((text) => text.split(',')[0]);
  expect(words).toEqual(['forwarded', 'dropped', 'forwarded']);
});

test('rules that no packet matched are counted, with the first packet of the others', () => {
  const packets = [
    ...CONNECTION,
    at(30, segment('10.0.0.7', '203.0.113.9', 40001, 25, SYN)),
    at(40, segment('10.0.0.7', '203.0.113.9', 40002, 80, SYN)),
    at(50, segment('10.0.0.7', '10.0.0.1', 40003, 22, SYN)),
    at(60, segment('10.0.0.1', '10.0.0.7', 22, 40003, RST | ACK)),
  ];
  const replay = new Replay(OPTIONS, packets);
  for (const packet of packets) replay.packet(packet);
  const report = replayReport(replay, 'fw.nft', 'a.pcap', 0.06);
  expect(report.outcomes).toEqual({ forwarded: 3, rejected: 1, dropped: 1, delivered: 1, sent: 1 });
  expect(report.hits.map(({ line, hits, first }) => [line, hits, first])).toEqual([
    [4, 2, 2],
    [5, 0, undefined],
    [6, 1, 1],
    [7, 0, undefined],
    [8, 1, 4],
    [10, 1, 6],
    [10, 0, undefined],
    [12, 1, 1],
  ]);
  expect(report.neverHit).toBe(3);
  const text = replayText(report);
  expect(text).toContain('  forwarded            3   42.9 %  ████████████████████████\n');
  expect(text).toContain('3 of 8 rules matched no packet');
});

test('frames of any link layer, cut or strange, have an outcome', () => {
  const ping = [ip({ saddr: '10.0.0.7', daddr: '203.0.113.9' }), icmp({ type: 8, id: 1 })];
  const cut = at(0, segment('10.0.0.7', '203.0.113.9', 1, 443, SYN));
  const first = { id: 7, 'frag-off': 0x2000 };
  const packets = [
    at(0, ping, { linkType: LINKTYPE_RAW }),
    { ...cut, bytes: cut.bytes.slice(0, 40) },
    at(0, [arp({ 'saddr ip': '10.0.0.7', 'daddr ip': '10.0.0.1' })]),
    at(0, [ip({ saddr: '10.0.0.7', daddr: '203.0.113.9', protocol: 17, ...first }), payload('12345678')]),
    { ...cut, linkType: 147 },
    { ...cut, bytes: new Uint8Array(5), length: 5 },
  ];
  const replay = new Replay(OPTIONS, packets);
  expect(packets.map((packet) => replay.packet(packet).outcome)).toEqual([
    'dropped',
    'dropped',
    'delivered',
    'held',
    'unknown',
    'unknown',
  ]);
});
