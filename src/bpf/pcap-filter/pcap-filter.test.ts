import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ClassicInsn,
  checkClassic,
  formatClassic,
  parseClassic,
  runClassic,
  translateClassic,
} from '../cbpf/index.ts';
import { compileFilter, FilterError, type FilterOptions } from './index.ts';

const data = join(process.env.NETLOOM_SHARED ?? '../shared', 'conformance/ebpf');
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const accepts = (program: readonly ClassicInsn[], bytes: Uint8Array): boolean => runClassic(program, { bytes }) !== 0;

const ETHER = '020000000002 020000000001';
const ip4 = (proto: number, body: string, header = '45', frag = '0000'): string =>
  `${header}00 0028 0001 ${frag} 40 ${proto.toString(16).padStart(2, '0')} 0000 0a000001 c0a80107${header === '46' ? ' 01010101' : ''} ${body}`;
const ports = (src: number, dst: number): string =>
  src.toString(16).padStart(4, '0') + dst.toString(16).padStart(4, '0');
const tcp = (src: number, dst: number): string => `${ports(src, dst)} 00000001 00000000 5002 0000 00000000`;
const ip6 = (next: number, body: string): string =>
  `60000000 0014 ${next.toString(16).padStart(2, '0')} 40 20010db8000000000000000000000001 fd000000000000000000000000000002 ${body}`;

/** Frames by name. */
const FRAMES: Readonly<Record<string, Uint8Array>> = {
  tcp: hex(`${ETHER} 0800 ${ip4(6, tcp(40000, 80))}`),
  options: hex(`${ETHER} 0800 ${ip4(6, tcp(40000, 80), '46')}`),
  later: hex(`${ETHER} 0800 ${ip4(6, tcp(40000, 80), '45', '0010')}`),
  udp: hex(`${ETHER} 0800 ${ip4(17, `${ports(53, 53)} 0010 0000 0102030405060708`)}`),
  tcp6: hex(`${ETHER} 86dd ${ip6(6, tcp(22, 1000))}`),
  chained: hex(`${ETHER} 86dd ${ip6(0, `3c000000 00000000 06000000 00000000 ${tcp(22, 80)}`)}`),
  secured: hex(`${ETHER} 86dd ${ip6(51, `0604 ${'00'.repeat(22)} ${tcp(22, 80)}`)}`),
  arp: hex(`ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 c0a80107`),
  vlan: hex(`${ETHER} 8100 2064 0800 ${ip4(6, tcp(40000, 80))}`),
  qinq: hex(`${ETHER} 88a8 0064 8100 00c8 86dd ${ip6(6, tcp(22, 80))}`),
  mpls: hex(`${ETHER} 8847 00400040 00005140 ${ip4(6, tcp(40000, 80))}`),
  pppoe: hex(`${ETHER} 8864 1100 0007 002a 0021 ${ip4(6, tcp(40000, 80))}`),
  geneve: hex(
    `${ETHER} 0800 ${ip4(17, `${ports(1, 6081)} 0060 0000 0100 6558 000005 00 01020304 ${ETHER} 8100 0003 0800 ${ip4(6, tcp(1, 80))}`)}`,
  ),
  geneveIp: hex(`${ETHER} 86dd ${ip6(17, `${ports(1, 6081)} 0060 0000 0000 0800 000009 00 ${ip4(6, tcp(1, 80))}`)}`),
  stp: hex(`0180c2000000 020000000001 0026 4242 03 ${'00'.repeat(40)}`),
  short: hex(`${ETHER} 0800 4500`),
};

/** Names of the frames that pass. */
const passing = (expression: string, options: FilterOptions = {}): string[] => {
  const program = compileFilter(expression, options);
  expect(checkClassic(program), expression).toBe(0);
  return Object.keys(FRAMES).filter((name) => accepts(program, FRAMES[name]));
};
const problem = (expression: string, options: FilterOptions = {}): string => {
  try {
    compileFilter(expression, options);
  } catch (error) {
    if (error instanceof FilterError) return error.message;
    throw error;
  }
  return 'compiles';
};

describe('filter expressions', () => {
  it('find what they name', () => {
    expect(passing('')).toEqual(Object.keys(FRAMES));
    expect(passing('tcp')).toEqual(['tcp', 'options', 'later', 'tcp6']);
    expect(passing('tcp port 80')).toEqual(['tcp', 'options']);
    expect(passing('port 53 or 22')).toEqual(['udp', 'tcp6']);
    expect(passing('dst portrange 50-100')).toEqual(['tcp', 'options', 'udp']);
    expect(passing('src host 10.0.0.1 and not udp')).toEqual(['tcp', 'options', 'later', 'arp']);
    expect(passing('net 192.168.1')).toEqual(['tcp', 'options', 'later', 'udp', 'arp', 'geneve']);
    expect(passing('ip6 net fd00::/8')).toEqual(['tcp6', 'chained', 'secured', 'geneveIp']);
    expect(passing('ether broadcast')).toEqual(['arp']);
    expect(passing('multicast and stp')).toEqual(['stp']);
    expect(passing('ip[0] & 0xf > 5')).toEqual(['options']);
    expect(passing('tcp[tcpflags] & tcp-syn != 0')).toEqual(['tcp', 'options']);
    expect(passing('ip6 protochain 6')).toEqual(['tcp6', 'chained', 'secured']);
    expect(passing('ip protochain \\udp')).toEqual(['udp', 'geneve']);
    expect(passing('port http')).toEqual(['tcp', 'options']);
  });

  it('look inside VLANs, labels, sessions and tunnels once these were named', () => {
    expect(passing('vlan')).toEqual(['vlan', 'qinq']);
    expect(passing('vlan 100 and tcp port 80')).toEqual(['vlan']);
    expect(passing('vlan 100 and vlan 200 and ip6')).toEqual(['qinq']);
    expect(passing('mpls 1024 and mpls 5 and tcp port 80')).toEqual(['mpls']);
    expect(passing('mpls 1024 and tcp port 80')).toEqual([]);
    expect(passing('pppoes 7 and tcp port 80')).toEqual(['pppoe']);
    expect(passing('geneve')).toEqual(['geneve', 'geneveIp']);
    expect(passing('geneve 5 and vlan 3 and tcp port 80')).toEqual(['geneve']);
    expect(passing('geneve and tcp port 80')).toEqual(['geneveIp']);
    expect(passing('geneve and ether src 02:00:00:00:00:01')).toEqual(['geneve']);
  });

  it('know names that are handed in', () => {
    const resolver = {
      host: (name: string) => (name === 'server' ? ['192.168.1.7', 'fd00::2'] : undefined),
      ether: (name: string) => (name === 'server' ? '02:00:00:00:00:02' : undefined),
      net: (name: string) => (name === 'office' ? '10.0.0.0/8' : undefined),
    };
    expect(passing('dst host server and tcp', { resolver })).toEqual(['tcp', 'options', 'later', 'tcp6']);
    expect(passing('ether dst server and vlan', { resolver })).toEqual(['vlan', 'qinq']);
    expect(passing('src net office and udp', { resolver })).toEqual(['udp', 'geneve']);
    expect(problem('host server')).toBe("unknown host 'server': host names are not resolved here, at character 6");
    expect(problem('host other', { resolver })).toBe("unknown host 'other', at character 6");
  });

  it('are refused with the place of the mistake', () => {
    expect(problem('tcp port 80 and')).toBe('expected a primitive, found the end, at character 16');
    expect(problem('1.2.3.4')).toBe('"1.2.3.4" needs a qualifier before it, such as host, net or port, at character 1');
    expect(problem('ip proto tcp')).toBe('"tcp" is a keyword here: write "\\tcp" for the name, at character 10');
    expect(problem('net 10.1.0.0/8')).toBe('non-network bits set in "10.1.0.0/8", at character 5');
    expect(problem('ip[0:3] = 1')).toBe('data size must be 1, 2, or 4, at character 6');
    expect(problem('len / 0 = 1')).toBe('division by zero, at character 7');
    expect(problem('vlan 5000')).toBe('VLAN tag 5000 greater than maximum 4095, at character 1');
    expect(problem('udp port login')).toBe("port 'login' is tcp, at character 10");
    expect(problem('tcp host 1.2.3.4')).toBe("'tcp' modifier applied to host, at character 10");
    expect(problem('type mgt')).toBe('802.11 link-layer types supported only on 802.11, at character 1');
    expect(problem('inbound', { live: false })).toBe(
      'inbound/outbound not supported on Ethernet when reading savefiles, at character 1',
    );
    expect(problem('mpls and arp')).toBe('unsupported protocol over mpls, at character 10');
    expect(problem('ether host 00:00:00:00:00:01', { linkType: 101 })).toBe(
      'ethernet addresses supported only on ethernet and 802.11, at character 12',
    );
    expect(problem('ip', { linkType: 147 })).toBe('netloom does not support filters for link type 147, at character 1');
    expect(problem('('.repeat(300))).toMatch(/^more than 200 parentheses/);
    expect(problem('tcp$')).toBe('unexpected "$", at character 4');
  });

  it('look into 802.11 frames, bare and behind a radiotap header', () => {
    const address = ['020000000001', '020000000002', '020000000003', '020000000004'];
    const mac = (control: string): string => `${control} 0000 ${address.slice(0, 3).join(' ')} 1000`;
    const snap = (type: string): string => `aaaa 03 000000 ${type}`;
    const frames: Readonly<Record<string, string>> = {
      beacon: `${mac('8000')} ${'00'.repeat(20)}`,
      up: `${mac('0801')} ${snap('0800')} ${ip4(6, tcp(40000, 80))}`,
      qos: `${mac('8802')} 0000 ${snap('86dd')} ${ip6(6, tcp(22, 80))}`,
      padded: `${mac('8802')} 0000 0000 ${snap('86dd')} ${ip6(6, tcp(22, 80))}`,
      vlan: `${mac('0801')} ${snap('8100')} 0064 0800 ${ip4(6, tcp(40000, 80))}`,
      ack: `d400 0000 ${address[1]}`,
    };
    const radiotap: Readonly<Record<string, string>> = {
      bare: '0000 0800 00000000',
      flags: '0000 0c00 02000000 20000000',
      time: '0000 1400 03000000 0000000000000000 20000000',
    };
    const find = (expression: string, header = ''): string[] => {
      const program = compileFilter(expression, { linkType: header === '' ? 105 : 127 });
      expect(checkClassic(program), expression).toBe(0);
      return Object.keys(frames).filter((name) => accepts(program, hex(`${header} ${frames[name]}`)));
    };
    for (const header of ['', radiotap.bare]) {
      expect(find('type mgt', header)).toEqual(['beacon']);
      expect(find('subtype ack', header)).toEqual(['ack']);
      expect(find('type data subtype qos-data', header)).toEqual(['qos', 'padded']);
      expect(find('dir tods', header)).toEqual(['up', 'vlan']);
      expect(find('tcp port 80', header)).toEqual(['up', 'qos']);
      expect(find('vlan 100 and tcp', header)).toEqual(['vlan']);
      expect(find('wlan src 02:00:00:00:00:03', header)).toEqual(['qos', 'padded']);
      expect(find('wlan addr1 02:00:00:00:00:02', header)).toEqual(['ack']);
      expect(find('wlan ta 02:00:00:00:00:02', header)).toEqual(['up', 'qos', 'padded', 'vlan']);
    }
    expect(find('ip6', radiotap.flags)).toEqual(['padded']);
    expect(find('ip6', radiotap.time)).toEqual(['padded']);
    expect(find('radio[2] = 20 and type mgt', radiotap.time)).toEqual(['beacon']);
    expect(problem('type nonsense', { linkType: 105 })).toBe('unknown 802.11 type "nonsense", at character 6');
    expect(problem('wlan ra 02:00:00:00:00:01')).toBe(
      "'ra' is only supported on 802.11 with 802.11 headers, at character 9",
    );
  });

  it('ask a live socket for the packet’s direction', () => {
    const program = compileFilter('outbound');
    expect(runClassic(program, { bytes: FRAMES.tcp, packetType: 4 })).not.toBe(0);
    expect(runClassic(program, { bytes: FRAMES.tcp, packetType: 0 })).toBe(0);
  });

  it('compile to the program that tcpdump has for a simple one', () => {
    expect(formatClassic(compileFilter('ip and tcp'))).toBe(
      '(000) ldh      [12]\n(001) jeq      #0x800           jt 2\tjf 5\n(002) ldb      [23]\n' +
        '(003) jeq      #0x6             jt 4\tjf 5\n(004) ret      #262144\n(005) ret      #0\n',
    );
  });

  it('of hundreds of parts still fit, and of too many are refused', () => {
    const list = (n: number): string =>
      Array.from({ length: n }, (_, i) => `dst host 10.0.${i >> 8}.${i & 255}`).join(' or ');
    expect(checkClassic(compileFilter(list(300)))).toBe(0);
    expect(problem(list(1500))).toBe('the program has more than 4096 instructions, at character 1');
  });

  const words = fc.constantFrom(
    ...'ip ip6 tcp udp port host net 80 10.0.0.1 fe80::1 and or not ( ) [ ] : & + - * / % ^ | << >> = != > < len src dst vlan mpls pppoes geneve 5 proto protochain ether 02:00:00:00:00:01 mask portrange 1-2 broadcast less byte icmp[icmptype] tcp[0:4] ! \\tcp http'.split(
      ' ',
    ),
  );
  it('never do anything but compile to a valid program or name a mistake', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(words, { maxLength: 14 }).map((w) => w.join(' ')),
          fc.string(),
        ),
        (text) => {
          try {
            const program = compileFilter(text);
            expect(checkClassic(program)).toBe(0);
            expect(translateClassic(program).ok).toBe(true);
          } catch (error) {
            if (!(error instanceof FilterError)) throw error;
            expect(error.at).toBeGreaterThanOrEqual(0);
            expect(error.at).toBeLessThanOrEqual(text.length);
          }
        },
      ),
      { numRuns: 800 },
    );
  });

  it.skipIf(!existsSync(data))('accept the packets that tcpdump’s recorded programs accept', () => {
    const packets = (JSON.parse(readFileSync(join(data, 'packets.json'), 'utf8')) as { hex: string }[]).map((p) =>
      hex(p.hex),
    );
    let compared = 0;
    for (const line of gunzipSync(readFileSync(join(data, 'cbpf.jsonl.gz')))
      .toString()
      .split('\n')) {
      if (!line.includes('"expr"')) continue;
      const { expr, insns } = JSON.parse(line) as { expr: string; insns: [number, number, number, number][] };
      const theirs = insns.map(([code, jt, jf, k]) => ({ code, jt, jf, k }));
      const ours = compileFilter(expr);
      for (const bytes of packets) expect(accepts(ours, bytes), expr).toBe(accepts(theirs, bytes));
      compared++;
    }
    expect(compared).toBeGreaterThan(20);
  });

  const tcpdump = spawnSync('tcpdump', ['--version']);
  it.skipIf(tcpdump.status !== 0)('accept the frames that tcpdump accepts', () => {
    const expressions = [
      'host 10.0.0.1 and (port 53 or 80) and not icmp',
      'ip[2:2] - ((ip[0] & 0xf) << 2) > len % 7 + 1',
      'ether[ip[9]] ^ 3 & 5 = 1 or -tcp[12] >> 2 > 4',
      'geneve 5 and vlan and tcp[0:2] = 1',
      'mpls and mpls 5 and tcp',
      'pppoes 7 and ip',
      'iso or ipx or netbeui or stp or aarp or l1 or llc rr',
      'vrrp or carp or esp or ah or pim or igrp',
      'net 10 or net 192.168.1.0 mask 255.255.255.0 or ip broadcast',
      'not (vlan 100 and ip6) or portrange 20-25',
      'decnet host 1.2 or rarp src host 1.2.3.4',
      'byte 12 = 8 or less 60 and greater 20',
    ];
    for (const expression of expressions) {
      const { stdout } = spawnSync('tcpdump', ['-O', '-y', 'EN10MB', '-ddd', '--', expression], { encoding: 'utf8' });
      const theirs = parseClassic(stdout);
      const ours = compileFilter(expression, { live: false });
      for (const name of Object.keys(FRAMES)) {
        if (name === 'short') continue;
        expect(accepts(ours, FRAMES[name]), `${expression}: ${name}`).toBe(accepts(theirs, FRAMES[name]));
      }
    }
  });
});
