/** Matches `icmp` and `icmp6`: type and code (RFC 792, RFC 4443). */
import { icmp as codec, type Icmp } from '../../../wire/xt/icmp.ts';
import { problem } from '../errors.ts';
import { bang, type Extension } from '../extension.ts';
import { number } from '../values.ts';

type Name = readonly [name: string, type: number, from: number, to: number];

const V4: readonly Name[] = [
  ['any', 255, 0, 255],
  ['echo-reply', 0, 0, 255],
  ['pong', 0, 0, 255],
  ['destination-unreachable', 3, 0, 255],
  ['network-unreachable', 3, 0, 0],
  ['host-unreachable', 3, 1, 1],
  ['protocol-unreachable', 3, 2, 2],
  ['port-unreachable', 3, 3, 3],
  ['fragmentation-needed', 3, 4, 4],
  ['source-route-failed', 3, 5, 5],
  ['network-unknown', 3, 6, 6],
  ['host-unknown', 3, 7, 7],
  ['network-prohibited', 3, 9, 9],
  ['host-prohibited', 3, 10, 10],
  ['TOS-network-unreachable', 3, 11, 11],
  ['TOS-host-unreachable', 3, 12, 12],
  ['communication-prohibited', 3, 13, 13],
  ['host-precedence-violation', 3, 14, 14],
  ['precedence-cutoff', 3, 15, 15],
  ['source-quench', 4, 0, 255],
  ['redirect', 5, 0, 255],
  ['network-redirect', 5, 0, 0],
  ['host-redirect', 5, 1, 1],
  ['TOS-network-redirect', 5, 2, 2],
  ['TOS-host-redirect', 5, 3, 3],
  ['echo-request', 8, 0, 255],
  ['ping', 8, 0, 255],
  ['router-advertisement', 9, 0, 255],
  ['router-solicitation', 10, 0, 255],
  ['time-exceeded', 11, 0, 255],
  ['ttl-exceeded', 11, 0, 255],
  ['ttl-zero-during-transit', 11, 0, 0],
  ['ttl-zero-during-reassembly', 11, 1, 1],
  ['parameter-problem', 12, 0, 255],
  ['ip-header-bad', 12, 0, 0],
  ['required-option-missing', 12, 1, 1],
  ['timestamp-request', 13, 0, 255],
  ['timestamp-reply', 14, 0, 255],
  ['address-mask-request', 17, 0, 255],
  ['address-mask-reply', 18, 0, 255],
];
const V6: readonly Name[] = [
  ['destination-unreachable', 1, 0, 255],
  ['no-route', 1, 0, 0],
  ['communication-prohibited', 1, 1, 1],
  ['beyond-scope', 1, 2, 2],
  ['address-unreachable', 1, 3, 3],
  ['port-unreachable', 1, 4, 4],
  ['failed-policy', 1, 5, 5],
  ['reject-route', 1, 6, 6],
  ['packet-too-big', 2, 0, 255],
  ['time-exceeded', 3, 0, 255],
  ['ttl-exceeded', 3, 0, 255],
  ['ttl-zero-during-transit', 3, 0, 0],
  ['ttl-zero-during-reassembly', 3, 1, 1],
  ['parameter-problem', 4, 0, 255],
  ['bad-header', 4, 0, 0],
  ['unknown-header-type', 4, 1, 1],
  ['unknown-option', 4, 2, 2],
  ['echo-request', 128, 0, 255],
  ['ping', 128, 0, 255],
  ['echo-reply', 129, 0, 255],
  ['pong', 129, 0, 255],
  ['mld-listener-query', 130, 0, 255],
  ['mld-listener-report', 131, 0, 255],
  ['mld-listener-done', 132, 0, 255],
  ['mld-listener-reduction', 132, 0, 255],
  ['router-solicitation', 133, 0, 255],
  ['router-advertisement', 134, 0, 255],
  ['neighbour-solicitation', 135, 0, 255],
  ['neighbor-solicitation', 135, 0, 255],
  ['neighbour-advertisement', 136, 0, 255],
  ['neighbor-advertisement', 136, 0, 255],
  ['redirect', 137, 0, 255],
];

function parse(s: Icmp, text: string, names: readonly Name[], label: string): void {
  const lower = text.toLowerCase();
  const found = names.filter(([name]) => name.toLowerCase().startsWith(lower));
  const exact = found.find(([name]) => name.toLowerCase() === lower);
  if (exact !== undefined || found.length > 0) {
    if (exact === undefined && found.length > 1 && found.some((n) => n[1] !== found[0][1] || n[2] !== found[0][2]))
      throw problem(`Ambiguous ${label} type \`${text}': \`${found[0][0]}' or \`${found[1][0]}'?`);
    const [, type, from, to] = exact ?? found[0];
    s.type = type;
    s.code = [from, to];
    return;
  }
  const slash = text.indexOf('/');
  const type = number(slash < 0 ? text : text.slice(0, slash), 255);
  if (type === undefined) throw problem(`Invalid ${label} type \`${text}'`);
  s.type = type;
  s.code = [0, 255];
  if (slash >= 0) {
    const code = number(text.slice(slash + 1), 255);
    if (code === undefined) throw problem(`Invalid ${label} code \`${text}'`);
    s.code = [code, code];
  }
}

function build(name: string, optionNames: readonly string[], names: readonly Name[], label: string): Extension<Icmp> {
  const v6 = name === 'icmp6';
  return {
    kind: 'match',
    name,
    revision: 0,
    family: v6 ? 6 : 4,
    codec,
    init(s) {
      s.type = v6 ? 0 : 255;
      s.code = [0, 255];
    },
    options: optionNames.map((option) => ({
      name: option,
      invert: true,
      mandatory: v6,
      parse(s: Icmp, value: string, invert: boolean): void {
        parse(s, value, names, label);
        if (invert) s.invert |= 1;
      },
    })),
    save(s) {
      const start = `${bang(s.invert & 1)} --${optionNames[0]} `;
      if (!v6 && s.type === 255) return `${start}any`;
      return `${start}${s.type}${s.code[0] !== 0 || s.code[1] !== 255 ? `/${s.code[0]}` : ''}`;
    },
    print(s, _ctx, numeric) {
      const label = v6 ? ' ipv6-icmp' : ' icmp';
      const no = s.invert & 1 ? ' !' : '';
      const named = names.find(([, type, from, to]) => type === s.type && from === s.code[0] && to === s.code[1]);
      if (!numeric && named !== undefined) return `${label}${no === '' ? ' ' : no}${named[0]}`;
      let code = '';
      if (s.code[0] === s.code[1]) code = ` code ${s.code[0]}`;
      else if (s.code[0] !== 0 || s.code[1] !== 255) code = ` codes ${s.code[0]}-${s.code[1]}`;
      return `${label}${no}type ${s.type}${code}`;
    },
  };
}

export const icmp: Extension<Icmp> = build('icmp', ['icmp-type'], V4, 'ICMP');
export const icmp6: Extension<Icmp> = build('icmp6', ['icmpv6-type'], V6, 'ICMPv6');
