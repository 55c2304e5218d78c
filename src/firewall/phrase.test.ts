import fc from 'fast-check';
import { expect, test } from 'vitest';
import { build } from '../wire/build.ts';
import { ether } from '../wire/layer.ts';
import { summary } from '../wire/print.ts';
import { answer, packetOf } from './packet.ts';
import { type PhrasePacket, parsePhrase } from './phrase.ts';
import { BadInput } from './problem.ts';

const read = (text: string): PhrasePacket => parsePhrase(text) as PhrasePacket;

function problem(text: string): string {
  try {
    parsePhrase(text);
  } catch (error) {
    expect(error).toBeInstanceOf(BadInput);
    return (error as BadInput).text;
  }
  return 'accepted';
}

test('the short form is an interface, a source and a destination', () => {
  expect(read('lan 10.0.0.7 -> 203.0.113.9:443')).toMatchObject({
    iface: 'lan',
    local: false,
    protocol: 'tcp',
    from: { addr: '10.0.0.7' },
    to: { addr: '203.0.113.9', port: 443 },
    established: false,
  });
  expect(read('10.0.0.7->10.0.0.1').protocol).toBe('icmp');
  expect(
    read('wan udp 198.51.100.1:5000 -> [2001:db8::1]:53'.replace('198.51.100.1:5000', '[2001:db8::9]:5000')),
  ).toMatchObject({
    protocol: 'udp',
    from: { addr: '2001:db8::9', port: 5000 },
    to: { addr: '2001:db8::1', port: 53 },
  });
  expect(read('local -> 9.9.9.9:dns udp')).toMatchObject({ local: true, to: { port: 53 } });
  expect(read('2001:db8::9 -> 2001:db8::1').protocol).toBe('icmpv6');
});

test('words add what the packet carries', () => {
  expect(
    read(
      'lan 10.0.0.7 -> 10.0.0.1:22 syn,ack vlan 10 mark 0x5 ttl 3 length 100 dscp 46 payload "GET /" in state established',
    ),
  ).toMatchObject({ flags: 18, vlan: 10, mark: 5, ttl: 3, length: 100, dscp: 46, established: true });
  expect(read('tcp from 10.0.0.7:1000 to 10.0.0.1:22')).toMatchObject({ from: { port: 1000 }, to: { port: 22 } });
  expect(read('lan 10.0.0.7 -> 10.0.0.1 icmp type time-exceeded code 1')).toMatchObject({ icmpType: 11, icmpCode: 1 });
});

test('hex lines and capture frames are packets too', () => {
  const bytes = build(packetOf(read('10.0.0.7 -> 10.0.0.1:22'), { saddr: '10.0.0.7', daddr: '10.0.0.1', sport: 5 }));
  const hex = [...bytes].map((b) => b.toString(16).padStart(2, '0'));
  expect(parsePhrase(hex.join(''))).toEqual({ kind: 'hex', text: hex.join(''), bytes });
  expect(parsePhrase(`lan ${hex.join(' ')}`)).toMatchObject({ kind: 'hex', iface: 'lan', bytes });
  expect(parsePhrase('lan capture.pcapng#12')).toMatchObject({
    kind: 'capture',
    iface: 'lan',
    file: 'capture.pcapng',
    frame: 12,
  });
});

test('a mistake is shown with a caret and what was expected', () => {
  expect(problem('lan 10.0.0.7 -> 203.0.113.9:443 sny')).toBe(
    'unknown word "sny"; expected a TCP flag, in state, vlan, mark, ttl, length, payload, type, code, from or to\n' +
      'lan 10.0.0.7 -> 203.0.113.9:443 sny\n' +
      '                                ^^^\n',
  );
  expect(problem('lan 10.0.0.7 -> 203.0.113.999')).toContain('203.0.113.999 is no address; expected ADDRESS');
  expect(problem('lan 10.0.0.7 -> 1.2.3.4:70000')).toContain('                        ^^^^^');
  expect(problem('lan 10.0.0.7')).toContain('no destination; expected -> ADDRESS[:PORT]');
  expect(problem('lan 10.0.0.7 -> 1.2.3.4 tcp')).toContain('tcp needs a port');
  expect(problem('lan 10.0.0.7 -> ::1')).toContain('different families');
  expect(problem('')).toContain('expected something like');
  expect(problem('lan 10.0.0.0/8 -> 1.2.3.4')).toContain('a network is no address');
  expect(problem('a.pcap#0')).toContain('counted from 1');
  expect(problem('lan 10.0.0.7 -> 1.2.3.4:1 in state weird')).toContain('expected new or established');
});

test('any text is a packet or a mistake, never another error', () => {
  const word = fc.constantFrom(
    'lan',
    '->',
    '10.0.0.7',
    '1.2.3.4:80',
    'tcp',
    'in',
    'state',
    'established',
    'vlan',
    '7',
    '[::1]:2',
    'type',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(word, { maxLength: 8 }).map((w) => w.join(' ')),
      ),
      (text) => {
        problem(text);
      },
    ),
  );
});

test('the far side answers what is to be answered', () => {
  const line = (text: string): string => {
    const p = read(text);
    const six = p.to.addr.includes(':');
    const filled = { saddr: six ? '2001:db8::7' : '10.0.0.7', daddr: p.to.addr, sport: 40000 };
    const reply = answer(packetOf(p, filled));
    return 'none' in reply ? reply.none : summary(build([ether(), ...reply.layers]));
  };
  expect(line('-> 10.0.0.1:22')).toBe(
    'IP 10.0.0.1.22 > 10.0.0.7.40000: Flags [S.], seq 5000, ack 1001, win 64240, length 0',
  );
  expect(line('-> 10.0.0.1:22 in state established')).toBe(
    'IP 10.0.0.1.22 > 10.0.0.7.40000: Flags [.], seq 5001, ack 1002, win 64240, length 0',
  );
  expect(line('-> 10.0.0.1')).toBe('IP 10.0.0.1 > 10.0.0.7: ICMP echo reply, id 1, seq 1, length 8');
  expect(line('-> 2001:db8::1')).toContain('echo reply');
  expect(line('-> 10.0.0.1:5 sctp')).toContain('[INIT ACK]');
  expect(line('-> 10.0.0.1:22 rst')).toBe('a reset has no answer');
  expect(line('-> 10.0.0.1 arp')).toContain('ARP, Reply 10.0.0.1 is-at');
});
