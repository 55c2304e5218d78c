import { expect, test } from 'vitest';
import { build } from '../wire/build.ts';
import { ether, ip, mss, tcp } from '../wire/layer.ts';
import { writePcap } from '../wire/pcap.ts';
import type { Answer, Step } from './answer.ts';
import type { Given } from './infer.ts';
import { parseIface, parseRoute } from './infer.ts';
import { BadInput } from './problem.ts';
import { PLAIN, report } from './report.ts';
import { Firewall } from './try.ts';

const SAVE = `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -i wan -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.0.20.10
-A POSTROUTING -o wan -j MASQUERADE
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:WEB - [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lan -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -i lan -j REJECT --reject-with icmp-port-unreachable
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i lan -o wan -j ACCEPT
-A FORWARD -i wan -j WEB
-A WEB -d 10.0.20.10/32 -p tcp -m tcp --dport 443 -j ACCEPT
COMMIT
`;

const HOST: Given = {
  ifaces: [parseIface('lan=10.0.0.1/24'), parseIface('wan=192.0.2.2/24'), parseIface('dmz=10.0.20.1/24')],
  routes: [parseRoute('default via 192.0.2.1')],
};

function firewall(text = SAVE, given: Given = HOST, file = 'fw'): Firewall {
  return new Firewall({ text, file, given });
}

const rules = (steps: readonly Step[]): string[] =>
  steps.flatMap((s) =>
    s.kind === 'rule' ? [`${s.file}:${s.line} ${s.verdict}`] : s.kind === 'policy' ? [`policy ${s.verdict}`] : [],
  );

test('a packet out and its reply: rules with their lines, NAT, route, connection state', () => {
  const a = firewall().ask('lan 10.0.0.7 -> 203.0.113.9:443');
  expect(a.verdict).toBe('allowed');
  expect(a.notes).toEqual([]);
  expect(rules(a.request.steps)).toEqual(['policy accept', 'fw:16 accept', 'fw:5 accept']);
  expect(a.request.decided).toMatchObject({ file: 'fw', line: 16, rule: '-A FORWARD -i lan -o wan -j ACCEPT' });
  expect(a.request).toMatchObject({ outcome: 'forwarded', dev: 'wan' });
  expect(a.request.left).toContain('IP 192.0.2.2.40000 > 203.0.113.9.443');
  expect(a.request.steps).toContainEqual({ kind: 'nat', manip: 'snat', from: '10.0.0.7:40000', to: '192.0.2.2:40000' });
  expect(a.reply).toMatchObject({ outcome: 'forwarded', dev: 'lan', decided: { line: 15 } });
  expect(a.reply?.left).toContain('> 10.0.0.7.40000');
  expect(report(a, PLAIN)).toMatch(/FORWARDED to wan by fw:16; reply FORWARDED to lan by fw:15\n$/);
});

test('destination NAT leads to the server, and its answer comes back from the public address', () => {
  const a = firewall().ask('wan 198.51.100.7 -> 192.0.2.2:443');
  expect(a.request).toMatchObject({ outcome: 'forwarded', dev: 'dmz', decided: { line: 18 } });
  expect(a.reply?.left).toContain('IP 192.0.2.2.443 > 198.51.100.7.40000');
});

test('a dropped packet names the policy, a rejected one the rule and the answer', () => {
  const dropped = firewall().ask('wan 198.51.100.7 -> local:22');
  expect(dropped).toMatchObject({ verdict: 'dropped', request: { outcome: 'dropped', reason: 'NETFILTER_DROP' } });
  expect(dropped.request.decided).toEqual({ chain: 'ip filter INPUT', verdict: 'policy drop' });
  const rejected = firewall().ask('lan 10.0.0.7 -> local:23');
  expect(rejected.request.outcome).toBe('rejected');
  expect(rejected.request.steps).toContainEqual({
    kind: 'reply',
    text: expect.stringContaining('IP 10.0.0.1 > 10.0.0.7: ICMP destination unreachable (port unreachable)') as string,
  });
});

test('"in state established" goes through the handshake first', () => {
  const a = firewall().ask('lan 10.0.0.7 -> 203.0.113.9:443 in state established');
  expect(a.before?.map((w) => w.outcome)).toEqual(['forwarded', 'forwarded', 'forwarded']);
  expect(a.request.decided?.line).toBe(15);
  expect(firewall().ask('wan 198.51.100.7 -> local:22 in state established').verdict).toBe('dropped');
});

test('the host itself sends, and pings are answered', () => {
  expect(firewall().ask('local -> 9.9.9.9:53 udp')).toMatchObject({
    verdict: 'allowed',
    request: { outcome: 'sent', dev: 'wan' },
    reply: { outcome: 'delivered' },
  });
  const ping = new Firewall({ text: '*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n', file: 'x', given: HOST }).ask(
    'lan 10.0.0.7 -> 10.0.0.1',
  );
  expect(ping).toMatchObject({ request: { outcome: 'delivered' }, reply: { outcome: 'sent', dev: 'lan' } });
});

test('bytes and frames of captures are packets', () => {
  const bytes = build([
    ip({ saddr: '10.0.0.7', daddr: '203.0.113.9' }),
    tcp({ sport: 5, dport: 443, flags: 2 }, [mss(1400)]),
  ]);
  const hex = [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');
  expect(firewall().ask(`lan ${hex}`).request.left).toContain('192.0.2.2.5 > 203.0.113.9.443');
  const frame = build([
    ether(),
    ip({ saddr: '10.0.0.7', daddr: '203.0.113.9' }),
    tcp({ sport: 6, dport: 443, flags: 2 }),
  ]);
  const file = writePcap([{ timeNs: 0n, bytes: frame, length: frame.length, linkType: 1 }]);
  const withFile = new Firewall({ text: SAVE, file: 'fw', given: HOST, readBytes: () => file });
  expect(withFile.ask('lan x.pcap#1').request.left).toContain('192.0.2.2.6 > 203.0.113.9.443');
  expect(() => withFile.ask('lan x.pcap#2')).toThrow('x.pcap has 1 frames, there is no frame 2');
});

test('a shell script configures the host and its rules keep their lines', () => {
  const script = `#!/bin/sh
LAN=lan
ip addr add 10.0.0.1/24 dev $LAN
ip addr add 192.0.2.2/24 dev wan
ip route add default via 192.0.2.1
echo 1 > /proc/sys/net/ipv4/ip_forward
iptables -P FORWARD DROP
for port in 80 443; do
  iptables -A FORWARD -i $LAN -p tcp --dport $port -j ACCEPT
done
iptables -A FORWARD -m state --state ESTABLISHED -j ACCEPT
logrotate now
`;
  const a = firewall(script, { ifaces: [], routes: [] }, 'fw.sh').ask('lan 10.0.0.7 -> 203.0.113.9:443');
  expect(a.notes).toEqual([]);
  expect(a.warnings).toEqual(['not run: logrotate (line 12)']);
  expect(a.request.decided).toMatchObject({
    line: 9,
    rule: 'iptables -A FORWARD -i $LAN -p tcp --dport $port -j ACCEPT',
  });
  expect(a.reply?.decided?.line).toBe(11);
  expect(firewall(script, { ifaces: [], routes: [] }, 'fw.sh').ask('lan 10.0.0.7 -> 203.0.113.9:22').verdict).toBe(
    'dropped',
  );
});

test('what nobody said is inferred and told', () => {
  const a = firewall(SAVE, { ifaces: [], routes: [] }).ask('lan 10.0.0.7 -> 203.0.113.9:443');
  expect(a.verdict).toBe('allowed');
  expect(a.notes.join('\n')).toContain('lan has 10.0.0.1/24 (the packet comes from there)');
  expect(a.notes.join('\n')).toContain('source NAT goes out there');
});

test('a ruleset with a mistake is refused with its line, and an unknown interface by name', () => {
  const problem = (run: () => Answer): string => {
    try {
      run();
    } catch (error) {
      expect(error).toBeInstanceOf(BadInput);
      return (error as BadInput).text;
    }
    return 'accepted';
  };
  const text = problem(() => firewall(SAVE.replace('-j MASQUERADE', '-j MASKERADE')).ask('lan 10.0.0.7 -> 1.2.3.4:5'));
  expect(text).toContain('fw:5: ');
  expect(text).toContain('-A POSTROUTING -o wan -j MASKERADE');
  expect(problem(() => firewall(SAVE, HOST).ask('nowhere 10.0.0.7 -> 1.2.3.4:5'))).toBe(
    'there is no interface nowhere; there are lan, wan, dmz\n',
  );
});

test('every packet gets a host of its own: asking twice gives the same answer', () => {
  const f = firewall();
  expect(f.ask('lan 10.0.0.7 -> 203.0.113.9:443')).toEqual(f.ask('lan 10.0.0.7 -> 203.0.113.9:443'));
});
