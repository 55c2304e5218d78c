/**
 * Random iptables rulesets for the differential test, in the form of iptables-save (an IPv4 part, "#ip6tables", an IPv6
 * part), with the matches and targets whose effect one packet shows; and how netloom loads them.
 */
import type { Random } from '../../src/core/random.ts';
import type { ToolIo } from '../../src/tools/io.ts';
import { RestoreError, restoreScript } from '../../src/tools/iptables/restore.ts';
import { AttrWriter } from '../../src/wire/netlink/attr.ts';
import { emitMessages } from '../../src/wire/netlink/message.ts';
import { PORTS, pick } from './packets.ts';

const port = (r: Random): string => `${pick(r, PORTS)}`;
const portRange = (r: Random): string => {
  const [a, b] = [pick(r, PORTS), pick(r, PORTS)];
  return `${Math.min(a, b)}:${Math.max(a, b)}`;
};
const not = (r: Random): string => (r.below(4) === 0 ? '! ' : '');
const A4 = [
  '10.0.0.2',
  '10.0.0.0/24',
  '10.0.0.128/25',
  '192.0.2.0/24',
  '10.0.1.2',
  '10.0.1.0/24',
  '10.0.0.0/255.0.0.3',
];
const A6 = ['fd00::2', 'fd00::/64', 'fd01::/65', 'fd01::2', 'fd00:1::/32'];
const FLAGS = ['SYN,ACK SYN', 'ALL NONE', 'FIN,SYN,RST,ACK SYN', 'SYN,RST SYN,RST', 'RST RST'];
const STATES = ['NEW', 'ESTABLISHED,RELATED', 'INVALID', 'NEW,INVALID', 'ESTABLISHED', 'UNTRACKED'];

function protocol(r: Random, v6: boolean): { text: string; name: string } {
  const name = pick(r, ['tcp', 'tcp', 'udp', v6 ? 'ipv6-icmp' : 'icmp', 'sctp', 'all', 'all']);
  if (name === 'all') return { text: '', name };
  switch (name) {
    case 'tcp':
    case 'udp':
      switch (r.below(5)) {
        case 0:
          return { text: ` -p ${name} -m ${name} ${not(r)}--dport ${port(r)}`, name };
        case 1:
          return { text: ` -p ${name} -m ${name} --sport ${portRange(r)} ${not(r)}--dport ${portRange(r)}`, name };
        case 2: {
          const kind = pick(r, ['sports', 'dports', 'ports']);
          return { text: ` -p ${name} -m multiport ${not(r)}--${kind} ${port(r)},${port(r)},${portRange(r)}`, name };
        }
        case 3:
          return name === 'tcp'
            ? { text: ` -p tcp -m tcp ${not(r)}--tcp-flags ${pick(r, FLAGS)}`, name }
            : { text: ' -p udp', name };
        default:
          return { text: ` -p ${name} -m ${name}`, name };
      }
    case 'icmp':
      return { text: ` -p icmp -m icmp ${not(r)}--icmp-type ${pick(r, ['8', '0', '3/1', '11', 'any'])}`, name };
    case 'ipv6-icmp':
      return { text: ` -p ipv6-icmp -m icmp6 ${not(r)}--icmpv6-type ${pick(r, ['128', '129', '1', '3'])}`, name };
    default:
      return { text: ` -p ${name}`, name };
  }
}

function more(r: Random, v6: boolean, chain: string): string {
  const early = chain === 'PREROUTING' || chain === 'INPUT' || chain === 'FORWARD';
  switch (r.below(v6 ? 13 : 16)) {
    case 0:
      return ` -m conntrack ${not(r)}--ctstate ${pick(r, STATES)}`;
    case 1:
      return ` -m state --state ${pick(r, ['NEW', 'ESTABLISHED', 'INVALID', 'NEW,RELATED'])}`;
    case 2:
      return ` -m mark ${not(r)}--mark ${pick(r, ['0x1', '0x0/0x1', '0x2/0x3'])}`;
    case 3:
      return ` -m connmark ${not(r)}--mark ${pick(r, ['0x1', '0x0', '0x2/0x2'])}`;
    case 4:
      return ` -m length ${not(r)}--length ${pick(r, ['0:50', '40', '60:200', '41:48'])}`;
    case 5:
      return early ? ` -m mac ${not(r)}--mac-source 02:00:00:00:00:a${r.below(2)}` : '';
    case 6:
      return ` -m ${pick(r, ['dscp --dscp 0x00', 'dscp ! --dscp 0x02', 'tos --tos 0x00/0x3f', 'tos ! --tos 0x10'])}`;
    case 7:
      return ' -m comment --comment "a remark"';
    case 8:
      return ` -m u32 --u32 "${pick(r, ['0&0xf0000000=0x40000000', '0>>22&0x3c@0&0xffff=0x16', '6&0xff=6', '0>>28=6', '0>>22&0x3C@12>>26&0x3C@0=1:99'])}"`;
    case 9:
      return ` -m string ${not(r)}--algo ${pick(r, ['bm', 'kmp'])} --hex-string "|${r.below(2) ? '00' : '0016'}|"`.replace(
        '! --algo',
        '--algo',
      );
    case 10:
      return ` -m conntrack ${pick(r, ['--ctdir ORIGINAL', '--ctdir REPLY', '--ctstatus SEEN_REPLY', '--ctstatus NONE', '! --ctstatus ASSURED', '--ctproto 6', '--ctorigdstport 22:80', '! --ctreplsrcport 443'])}`;
    case 11:
      return ` -m pkttype ${not(r)}--pkt-type ${pick(r, ['unicast', 'broadcast', 'multicast'])}`;
    case 12:
      return v6
        ? ` -m hl --hl-${pick(r, ['eq', 'lt', 'gt'])} ${pick(r, [63, 64, 65, 1, 2])}`
        : ` -m ttl --ttl-${pick(r, ['eq', 'lt', 'gt'])} ${pick(r, [63, 64, 65, 1, 2])}`;
    case 13:
      return ` -m iprange ${not(r)}--${pick(r, ['src', 'dst'])}-range 10.0.0.${r.below(3)}-10.0.${r.below(2)}.${100 + r.below(100)}`;
    case 14:
      return ` -m addrtype ${not(r)}--${pick(r, ['src', 'dst'])}-type ${pick(r, ['LOCAL', 'UNICAST', 'BROADCAST', 'MULTICAST', 'LOCAL,UNICAST'])}`;
    default:
      return ` -m recent --name l${r.below(2)} --${pick(r, ['set', 'rcheck', 'rcheck --hitcount 2', 'update', 'remove'])}`;
  }
}

function matches(r: Random, v6: boolean, chain: string): { text: string; proto: string } {
  let text = '';
  const addresses = v6 ? A6 : A4;
  if (r.below(3) === 0) text += ` ${not(r)}-s ${pick(r, addresses)}`;
  if (r.below(3) === 0) text += ` ${not(r)}-d ${pick(r, addresses)}`;
  if (r.below(5) === 0 && chain !== 'POSTROUTING' && chain !== 'OUTPUT')
    text += ` ${not(r)}-i ${pick(r, ['t0', 't1', 't+', 'x0'])}`;
  if (r.below(5) === 0 && chain !== 'PREROUTING' && chain !== 'INPUT')
    text += ` ${not(r)}-o ${pick(r, ['t0', 't1', 't+'])}`;
  const { text: proto, name } = protocol(r, v6);
  text += proto;
  if (!v6 && r.below(12) === 0) text += ` ${not(r)}-f`;
  for (let n = r.below(3); n > 0; n--) text += more(r, v6, chain);
  return { text, proto: proto.includes('!') && name !== 'tcp' ? 'all' : name };
}

function filterTarget(r: Random, v6: boolean, proto: string, chains: readonly string[]): string {
  switch (r.below(9)) {
    case 0:
    case 1:
      return 'DROP';
    case 2:
      return 'ACCEPT';
    case 3:
      if (proto === 'tcp') return 'REJECT --reject-with tcp-reset';
      return `REJECT --reject-with ${pick(r, v6 ? ['icmp6-no-route', 'icmp6-adm-prohibited', 'icmp6-port-unreachable'] : ['icmp-net-unreachable', 'icmp-port-unreachable', 'icmp-host-prohibited', 'icmp-admin-prohibited'])}`;
    case 4:
      return 'RETURN';
    case 5:
      return 'LOG --log-prefix x';
    case 6:
      return pick(r, ['MARK --set-mark 1', 'MARK --or-mark 2', 'MARK --set-xmark 0x1/0x3']);
    default:
      return chains.length > 0 ? pick(r, chains) : 'DROP';
  }
}

function mangleTarget(r: Random, v6: boolean, proto: string, chain: string): string {
  switch (r.below(8)) {
    case 0:
      return v6
        ? `HL --hl-${pick(r, ['set 9', 'inc 2', 'dec 1'])}`
        : `TTL --ttl-${pick(r, ['set 9', 'inc 2', 'dec 1', 'set 1'])}`;
    case 1:
      return pick(r, [
        'DSCP --set-dscp 0x2e',
        'DSCP --set-dscp-class AF11',
        'TOS --set-tos 0x10',
        'TOS --or-tos 0x04',
        'TOS --xor-tos 0xff',
      ]);
    case 2:
      if (proto === 'tcp')
        return chain === 'FORWARD' && r.below(2)
          ? 'TCPMSS --clamp-mss-to-pmtu'
          : `TCPMSS --set-mss ${pick(r, [400, 1200])}`;
      return 'MARK --set-mark 1';
    case 3:
      return pick(r, [
        'CONNMARK --set-mark 1',
        'CONNMARK --save-mark',
        'CONNMARK --restore-mark',
        'CONNMARK --or-mark 2',
      ]);
    case 4:
      if (proto === 'tcp') return 'TCPOPTSTRIP --strip-options timestamp,sack-permitted,wscale';
      return 'MARK --xor-mark 3';
    case 5:
      return 'CLASSIFY --set-class 1:2'.replace(
        'CLASSIFY --set-class 1:2',
        chain === 'POSTROUTING' || chain === 'FORWARD' ? 'CLASSIFY --set-class 1:2' : 'ACCEPT',
      );
    case 6:
      return 'DROP';
    default:
      return pick(r, ['MARK --set-mark 1', 'MARK --and-mark 2', 'MARK --or-mark 2']);
  }
}

function natTarget(r: Random, v6: boolean, proto: string, chain: string): string {
  const ported = proto === 'tcp' || proto === 'udp';
  if (chain === 'POSTROUTING') {
    const address = v6 ? pick(r, ['fd01::50', 'fd00::50']) : pick(r, ['10.0.1.50', '10.0.0.50']);
    switch (r.below(4)) {
      case 0:
        return 'MASQUERADE';
      case 1:
        return v6 ? `NETMAP --to fd00:1::/64` : 'NETMAP --to 10.0.1.0/24';
      default:
        return `SNAT --to-source ${address}`;
    }
  }
  if (r.below(3) === 0) return ported ? `REDIRECT --to-ports ${port(r)}` : 'REDIRECT';
  const address = v6 ? pick(r, ['fd01::77', 'fd01::2']) : pick(r, ['10.0.1.77', '10.0.1.2', '10.0.0.77']);
  if (!ported || r.below(2)) return `DNAT --to-destination ${address}`;
  return `DNAT --to-destination ${v6 ? `[${address}]` : address}:${port(r)}`;
}

function table(r: Random, name: string, v6: boolean): string {
  const bases =
    {
      raw: ['PREROUTING'],
      mangle: ['PREROUTING', 'FORWARD', 'POSTROUTING', 'INPUT'],
      nat: ['PREROUTING', 'POSTROUTING'],
      filter: ['INPUT', 'FORWARD', 'OUTPUT'],
    }[name] ?? [];
  const users = name === 'filter' ? ['lan', 'web', 'log_it'].slice(0, r.below(4)) : [];
  const lines = [`*${name}`];
  for (const base of bases) lines.push(`:${base} ${name === 'filter' && r.below(5) === 0 ? 'DROP' : 'ACCEPT'} [0:0]`);
  for (const user of users) lines.push(`:${user} - [0:0]`);
  for (let n = 2 + r.below(6); n > 0; n--) {
    const chain = pick(r, bases);
    const { text, proto } = matches(r, v6, chain);
    let target = '';
    if (name === 'filter') target = filterTarget(r, v6, proto, users);
    else if (name === 'mangle') target = mangleTarget(r, v6, proto, chain);
    else if (name === 'nat') target = natTarget(r, v6, proto, chain);
    else target = pick(r, ['NOTRACK', 'CT --notrack', 'DROP', 'CT --zone 3', 'CT --zone-orig 4']);
    const goto = users.includes(target) && r.below(3) === 0;
    lines.push(`-A ${chain}${text} -${goto ? 'g' : 'j'} ${target}`);
  }
  users.forEach((user, i) => {
    for (let n = r.below(4); n > 0; n--) {
      const { text, proto } = matches(r, v6, 'user');
      lines.push(
        `-A ${user}${text.replace(/ (! )?-[io] \S+/g, '').replace(/ -m mac (! )?--mac-source \S+/g, '')} -j ${filterTarget(r, v6, proto, users.slice(i + 1))}`,
      );
    }
  });
  lines.push('COMMIT');
  return `${lines.join('\n')}\n`;
}

/** One random ruleset. */
export function generateIptables(r: Random): string {
  let text = '#iptables\n';
  for (const v6 of [false, true]) {
    if (v6) text += '#ip6tables\n';
    for (const name of ['raw', 'mangle', 'nat', 'filter'])
      if (name === 'filter' || r.below(2) === 0) text += table(r, name, v6);
  }
  return text;
}

/** Loads such a text into a netloom host; the error text when it is refused. */
export function loadIptables(io: ToolIo, rules: string): string | undefined {
  const frame = (type: number, payload: Uint8Array) => ({ type, flags: 1, seq: 1, port: 0, payload });
  const everything = new AttrWriter().raw(Uint8Array.of(0, 0, 0, 0)).finish();
  const batch = Uint8Array.of(0, 0, 0, 10);
  io.netlink.open(12).send(emitMessages([frame(16, batch), frame((10 << 8) | 2, everything), frame(17, batch)]));
  const [four, six] = rules.split('#ip6tables\n');
  try {
    restoreScript(four.replace(/^flush ruleset\n/, ''), { family: 4, io, handles: false });
    restoreScript(six ?? '', { family: 6, io, handles: false });
    return undefined;
  } catch (error) {
    if (error instanceof RestoreError) return error.stderr;
    throw error;
  }
}
