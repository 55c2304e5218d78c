/** `netloom bpf filter EXPRESSION [CAPTURE]`: tcpdump's filter language over a capture file, or its program shown. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { disassemble } from '../../bpf/asm/index.ts';
import {
  type ClassicInsn,
  formatC,
  formatClassic,
  formatNumbers,
  runClassic,
  translateClassic,
} from '../../bpf/cbpf/index.ts';
import { compileFilter, FilterError } from '../../bpf/pcap-filter/index.ts';
import { BadInput } from '../../firewall/problem.ts';
import { readCapture } from '../../wire/capture.ts';
import { type CapturedPacket, CaptureError, LINKTYPE_ETHERNET, LINKTYPE_RAW, writePcap } from '../../wire/pcap.ts';
import { writePcapng } from '../../wire/pcapng.ts';
import { hexDump, summary, summaryOfPacket } from '../../wire/print.ts';
import { guarded, OK, REFUSED, readBytes } from '../output.ts';

const HELP = `
The expression is in the language of tcpdump, pcap-filter(7). Port names are built in; host names come from --host.

Exit code: 0 a packet matched (or the program was shown), 1 none matched, 2 the expression or the file cannot be read.

Examples:
  netloom bpf filter 'tcp port 443 and host 10.0.0.7' capture.pcapng
  netloom bpf filter 'tcp[tcpflags] & tcp-syn != 0' capture.pcap --write syn.pcap
  netloom bpf filter -d 'vlan 100 and icmp'
  netloom bpf filter --ebpf 'port 53'
`;

type Options = {
  readonly write?: string;
  readonly json?: boolean;
  readonly count?: boolean;
  readonly hexDump?: boolean;
  readonly ebpf?: boolean;
  readonly linkType?: string;
  readonly host?: Readonly<Record<string, string[]>>;
  readonly netmask?: string;
};

/** Link types by tcpdump's names. */
const LINK_TYPES: Readonly<Record<string, number>> = {
  NULL: 0,
  EN10MB: LINKTYPE_ETHERNET,
  PPP: 9,
  RAW: LINKTYPE_RAW,
  IEEE802_11: 105,
  LINUX_SLL: 113,
  IEEE802_11_RADIO: 127,
  IPV4: 228,
  IPV6: 229,
  LINUX_SLL2: 276,
};

function collectHost(value: string, before: Record<string, string[]> = {}): Record<string, string[]> {
  const at = value.indexOf('=');
  if (at <= 0) throw new BadInput(`--host takes NAME=ADDRESS, not '${value}'`);
  const name = value.slice(0, at);
  return { ...before, [name]: [...(before[name] ?? []), ...value.slice(at + 1).split(',')] };
}

export function addFilter(bpf: Command): void {
  // -d, -dd and -ddd are one option given so many times.
  let dump = 0;
  const command = bpf
    .command('filter')
    .description("find packets of a capture with tcpdump's filter language")
    .argument('<expression>', 'filter, pcap-filter(7)')
    .argument('[capture]', 'pcap or pcapng file, - for standard input')
    .option('--write <file>', 'write the packets that match there (.pcapng, or else pcap)')
    .option('--json', 'print the packets as JSON, one a line')
    .option('--count', 'print only how many match')
    .option('--hex-dump', 'print the bytes of each packet')
    .option('-d', 'print the program; -dd as C, -ddd as numbers')
    .option('--ebpf', 'print the program translated to eBPF')
    .option('--link-type <type>', `with -d and --ebpf: ${Object.keys(LINK_TYPES).join(', ')} or a number`)
    .option('--host <name=address>', 'address of a host name in the expression (repeatable)', collectHost)
    .option('--netmask <mask>', 'mask of the network, for "ip broadcast"')
    .addHelpText('after', HELP)
    .action((expression: string, capture: string | undefined, options: Options) =>
      guarded(() => run(expression, capture, options, dump)),
    );
  command.on('option:d', () => {
    dump++;
  });
}

function run(expression: string, capture: string | undefined, options: Options, dump: number): number {
  const showing = dump > 0 || options.ebpf === true;
  if (capture === undefined && !showing) throw new BadInput('a CAPTURE is needed, or -d to see the program');
  const packets = capture === undefined ? [] : read(capture);
  const programs = new Map<number, readonly ClassicInsn[]>();
  const programOf = (linkType: number): readonly ClassicInsn[] => {
    let program = programs.get(linkType);
    if (program === undefined) {
      program = compile(expression, linkType, options);
      programs.set(linkType, program);
    }
    return program;
  };
  if (showing) {
    show(programOf(linkTypeOption(options.linkType) ?? packets[0]?.linkType ?? LINKTYPE_ETHERNET), dump);
    return OK;
  }
  if (packets.length === 0) programOf(LINKTYPE_ETHERNET);
  const matching = packets
    .map((packet, i) => ({ packet, number: i + 1 }))
    .filter(({ packet: { bytes, length, linkType } }) => runClassic(programOf(linkType), { bytes, length }) !== 0);
  if (options.write !== undefined)
    write(
      options.write,
      matching.map(({ packet }) => packet),
    );
  if (options.count === true) console.log(matching.length);
  else if (options.json === true)
    for (const { packet, number } of matching) console.log(JSON.stringify(toJson(packet, number)));
  else if (options.write === undefined || options.hexDump === true) {
    for (const { packet, number } of matching) {
      console.log(`${number} ${timeText(packet.timeNs)} ${packetText(packet)}`);
      if (options.hexDump === true) process.stdout.write(hexDump(packet.bytes, '  '));
    }
  }
  return matching.length > 0 ? OK : REFUSED;
}

function read(path: string): readonly CapturedPacket[] {
  try {
    return readCapture(path === '-' ? new Uint8Array(readFileSync(0)) : readBytes(path));
  } catch (error) {
    // What was captured before the damage is still worth looking at, as tcpdump does.
    if (error instanceof CaptureError && error.packets.length > 0) {
      process.stderr.write(`${path}: ${error.message}; ${error.packets.length} packets before that\n`);
      return error.packets;
    }
    throw new BadInput((error as Error).message, { file: path });
  }
}

function compile(expression: string, linkType: number, options: Options): readonly ClassicInsn[] {
  const resolver = { host: (name: string) => options.host?.[name] };
  try {
    return compileFilter(expression, { linkType, resolver, netmask: netmaskOption(options.netmask), live: false });
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    throw new BadInput(error.problem, { file: 'filter', line: 1, column: error.at, source: expression });
  }
}

function linkTypeOption(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = LINK_TYPES[text.toUpperCase()] ?? (/^\d+$/.test(text) ? Number(text) : undefined);
  if (number === undefined) throw new BadInput(`--link-type takes ${Object.keys(LINK_TYPES).join(', ')} or a number`);
  return number;
}

function netmaskOption(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const parts = text.split('.').map(Number);
  if (parts.length !== 4 || !parts.every((part) => part >= 0 && part <= 255))
    throw new BadInput(`--netmask takes a mask such as 255.255.255.0, not '${text}'`);
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

function show(program: readonly ClassicInsn[], dump: number): void {
  if (dump === 1) process.stdout.write(formatClassic(program));
  else if (dump === 2) process.stdout.write(formatC(program));
  else if (dump > 2) process.stdout.write(formatNumbers(program));
  else {
    const translated = translateClassic(program);
    if (!translated.ok) throw new BadInput(translated.message);
    process.stdout.write(disassemble(translated.insns));
  }
}

function write(path: string, packets: readonly CapturedPacket[]): void {
  const mixed = packets.some((p) => p.linkType !== packets[0].linkType);
  if (mixed && !path.endsWith('.pcapng'))
    throw new BadInput('the packets are of several link types: write a .pcapng file');
  writeFileSync(path, path.endsWith('.pcapng') ? writePcapng(packets) : writePcap(packets));
}

/** "2026-01-02 03:04:05.678901234", in UTC. */
function timeText(timeNs: bigint): string {
  const ms = Number(timeNs / 1_000_000_000n) * 1000;
  // Beyond the calendar of Date: a damaged file.
  if (!(Math.abs(ms) <= 8.64e15)) return `${timeNs} ns`;
  const second = new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
  return `${second}.${(timeNs % 1_000_000_000n).toString().padStart(9, '0')}`;
}

/** Bytes before the network header of link types that the printer does not know. */
const HEADERS: ReadonlyMap<number, number> = new Map([
  [0, 4],
  [9, 4],
  [12, 0],
  [14, 0],
  [LINKTYPE_RAW, 0],
  [113, 16],
  [228, 0],
  [229, 0],
  [276, 20],
]);

function packetText({ bytes, linkType }: CapturedPacket): string {
  const header = HEADERS.get(linkType);
  return header === undefined ? summary(bytes) : summaryOfPacket(bytes.subarray(header));
}

function toJson(packet: CapturedPacket, number: number): unknown {
  const { timeNs, bytes, length, linkType, dev, comments } = packet;
  return {
    number,
    time: timeText(timeNs),
    length,
    captured: bytes.length,
    linkType,
    dev,
    comments,
    summary: packetText(packet),
  };
}
