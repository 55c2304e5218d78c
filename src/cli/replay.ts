/** `netloom replay RULES CAPTURE`: a capture through a ruleset, streaming. */
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import type { Command } from 'commander';
import { BadInput } from '../firewall/problem.ts';
import { Replay, type ReplayOptions } from '../firewall/replay/replay.ts';
import { judgedText, replayReport, replayText } from '../firewall/replay/report.ts';
import { sourceFrom } from '../wire/byte-source.ts';
import { capturePackets } from '../wire/capture.ts';
import { type CapturedPacket, CaptureError } from '../wire/pcap.ts';
import { PcapngWriter } from '../wire/pcapng.ts';
import { guarded, OK, Progress, REFUSED, style } from './output.ts';
import { addRulesOptions, firewallOptions, givenOf, type RulesOptions } from './rules-options.ts';

const HELP = `
Every packet of the capture comes in on an interface of a host that has the ruleset, at the time the capture says; packets
with an address of the host as source are sent by it. Connections, sets, limits and quotas are as the packets before left
them. The interface is the one that --dev names, the one the capture names (pcapng), or the one the source lies behind.
Transport checksums are not looked at unless --checksums is given: hosts with offloads capture wrong ones.

Exit code: 0 every packet passes, 1 one is dropped or rejected, 2 bad input.

Examples:
  netloom replay nftables.conf office.pcapng
  netloom replay rules.v4 wan.pcap --dev wan --iface wan=192.0.2.2/24 --iface lan=10.0.0.1/24
  netloom replay nftables.conf big.pcap --write judged.pcapng     verdict and rule as packet comments
  tcpdump -w - -c 1000 | netloom replay nftables.conf - --json
`;

type Options = RulesOptions & {
  readonly dev?: string;
  readonly checksums?: boolean;
  readonly write?: string;
  readonly each?: boolean;
  readonly json?: boolean;
  readonly limit?: string;
};

/** Packets looked at before the first is sent, to infer what the host has. */
const SAMPLE = 2000;

export function addReplay(program: Command): void {
  addRulesOptions(program.command('replay'))
    .description('send a capture through a ruleset: verdicts, hits per rule, rules that never match')
    .argument('<rules>', 'nft script, iptables-save file, or shell script of ip, iptables, nft and sysctl lines')
    .argument('<capture>', 'pcap or pcapng file, - for standard input')
    .option('--dev <name>', 'the interface that the capture was taken on')
    .option('--checksums', 'verify transport checksums as a host does')
    .option('--write <file>', 'write the packets with verdict and rule as comments (pcapng)')
    .option('--each', 'print a line for each packet')
    .option('--limit <n>', 'stop after so many packets')
    .option('--json', 'print the report as JSON; with --each, packets as JSON lines before it')
    .addHelpText('after', HELP)
    .action((rules: string, capture: string, options: Options) => guarded(() => run(rules, capture, options)));
}

function run(rules: string, path: string, options: Options): number {
  const limit = limitOf(options.limit);
  const file = openCapture(path);
  const out = options.write === undefined ? undefined : new CommentedCapture(options.write);
  const progress = new Progress();
  let problem: string | undefined;
  const packets = untilDamage(file.packets, (error) => {
    problem = error.message;
  });
  try {
    const sample: CapturedPacket[] = [];
    while (sample.length < Math.min(SAMPLE, limit)) {
      const { value, done } = packets.next();
      if (done) break;
      sample.push(value);
    }
    if (sample.length === 0) throw new BadInput(`${path}: ${problem ?? 'no packets'}`);
    const replayOptions: ReplayOptions = {
      ...firewallOptions(rules, givenOf(options), options),
      ...(options.dev !== undefined && { dev: options.dev }),
      ...(options.checksums === true && { checksums: true }),
    };
    const replay = new Replay(replayOptions, sample);
    const first = sample[0].timeNs;
    let last = first;
    const step = (packet: CapturedPacket): void => {
      const judged = replay.packet(packet);
      if (packet.timeNs > last) last = packet.timeNs;
      out?.add(packet, judgedText(judged));
      if (options.each === true)
        console.log(options.json === true ? JSON.stringify(judged) : `${judged.number} ${judgedText(judged)}`);
      progress.step(replay.packets, file.estimate(replay.packets), 'packets');
    };
    for (const packet of sample.splice(0)) step(packet);
    while (replay.packets < limit) {
      const { value, done } = packets.next();
      if (done) break;
      step(value);
    }
    progress.done();
    const seconds = Number(last - first) / 1e9;
    const damage = problem === undefined ? undefined : `${path}: ${problem}; replayed what comes before`;
    const report = replayReport(replay, rules, path, seconds, damage);
    if (options.json === true) console.log(JSON.stringify(report, null, 2));
    else process.stdout.write(replayText(report, style()));
    return (report.outcomes.dropped ?? 0) + (report.outcomes.rejected ?? 0) === 0 ? OK : REFUSED;
  } finally {
    out?.close();
    file.close();
  }
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  if (!/^[1-9]\d*$/.test(text)) throw new BadInput(`--limit takes a number of packets, not '${text}'`);
  return Number(text);
}

type OpenCapture = {
  readonly packets: Generator<CapturedPacket, void>;
  /** How many packets the file has, judging by the first `n`; `n` when its size is unknown. */
  estimate(n: number): number;
  close(): void;
};

function openCapture(path: string): OpenCapture {
  let fd: number;
  let size = 0;
  try {
    fd = path === '-' ? 0 : openSync(path, 'r');
    const stat = fstatSync(fd);
    if (stat.isDirectory()) throw new Error('is a directory');
    if (stat.isFile()) size = stat.size;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new BadInput(`${path}: ${code === 'ENOENT' ? 'no such file' : message}`);
  }
  const source = sourceFrom((into) => readSome(fd, into));
  return {
    packets: capturePackets(source),
    estimate: (n) => Math.max(n, Math.round((n * size) / Math.max(1, source.at))),
    close: () => {
      if (fd !== 0) closeSync(fd);
    },
  };
}

/** Reads from a file or a pipe; a pipe that has nothing yet is waited for. */
function readSome(fd: number, into: Uint8Array): number {
  for (;;)
    try {
      return readSync(fd, into);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EOF') return 0;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
}

/** The packets up to a damaged place, which is told. A file that is no capture at all is bad input. */
function* untilDamage(
  packets: Generator<CapturedPacket, void>,
  tell: (error: CaptureError) => void,
): Generator<CapturedPacket, void> {
  try {
    yield* packets;
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    tell(error);
  }
}

/** A pcapng file, written as packets are judged. */
class CommentedCapture {
  readonly #writer = new PcapngWriter();
  readonly #fd: number;
  #unwritten = 0;

  constructor(path: string) {
    try {
      this.#fd = openSync(path, 'w');
    } catch (error) {
      throw new BadInput(`${path}: ${(error as Error).message}`);
    }
  }

  add({ dev, linkType, timeNs, bytes, comments, length, direction }: CapturedPacket, comment: string): void {
    const index = this.#writer.interface(dev ?? 'capture', linkType);
    this.#writer.packet(index, timeNs, bytes, [...(comments ?? []), comment], length, direction);
    if (++this.#unwritten === BATCH) this.#flush();
  }

  #flush(): void {
    this.#unwritten = 0;
    const bytes = this.#writer.take();
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }

  close(): void {
    this.#flush();
    closeSync(this.#fd);
  }
}

const BATCH = 512;
