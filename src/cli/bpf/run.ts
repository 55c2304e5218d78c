/** `netloom bpf run FILE.o`: what a program does with packets, its context and its maps. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import type { BpfObject, ObjectProgram } from '../../bpf/elf/index.ts';
import { actionName } from '../../bpf/runtime/actions.ts';
import { Machine } from '../../bpf/runtime/machine.ts';
import { canTestRun, type TestRun, testRun } from '../../bpf/runtime/test-run.ts';
import { BpfSystem, type LoadedProgram, VerifierError } from '../../bpf/system.ts';
import { KernelError, strerror } from '../../core/errno.ts';
import { Random } from '../../core/random.ts';
import { Slab } from '../../core/slab.ts';
import { BadInput } from '../../firewall/problem.ts';
import { isCapture, readCapture } from '../../wire/capture.ts';
import { PROG_TYPE_NAMES } from '../../wire/uapi/bpf.ts';
import { guarded, OK, REFUSED, readBytes } from '../output.ts';
import { mapContents } from './map-text.ts';
import { choosePrograms, type ObjectOptions, readObject, withObjectOptions } from './object-file.ts';
import { changedBytes, changedContext } from './run-text.ts';

const HELP = `
Runs a program of a BPF object on packets, as BPF_PROG_TEST_RUN does: xdp, tc, socket filters, cgroup_skb, lwt. It is
verified first; a program that is refused does not run.

--packet takes the bytes of an Ethernet frame in hex, or a pcap or pcapng file, and may be given several times.

Exit code: 0 it ran, 1 it was refused, 2 the file or a packet cannot be read.

Examples:
  netloom bpf run xdp_filter.o --packet capture.pcap
  netloom bpf run lb.o --prog balance --packet 'ffffffffffff0200000000010800...' --json
  netloom bpf run tc_mark.o --packet syn.pcap --repeat 1000000
`;

type Options = ObjectOptions & {
  readonly packet: readonly string[];
  readonly repeat: string;
  readonly json?: boolean;
  readonly interp?: boolean;
  readonly checking?: boolean;
  readonly seed: string;
};

type Packet = { readonly from: string; readonly bytes: Uint8Array };

export function addRun(bpf: Command): void {
  withObjectOptions(
    bpf
      .command('run')
      .description('run a program on packets: return value, packet, context, maps')
      .argument('<file>', 'BPF object (clang -target bpf -c)'),
  )
    .requiredOption('--packet <hex|pcap...>', 'packets to run it on (repeatable)')
    .option('--repeat <n>', 'run it this often on each packet', '1')
    .option('--interp', 'interpret it instead of compiling it')
    .option('--checking', 'compile it with every access checked')
    .option('--seed <n>', 'seed of bpf_get_prandom_u32', '1')
    .option('--json', 'print the results as JSON')
    .addHelpText('after', HELP)
    .action((file: string, options: Options) => guarded(() => run(file, options)));
}

const whole = (text: string, what: string, least: number): number => {
  const n = Number(text);
  if (!Number.isInteger(n) || n < least || n > 0xffff_ffff)
    throw new BadInput(`${what} takes a number from ${least} on, not '${text}'`);
  return n;
};

/** The frames that one `--packet` names. */
function packetsOf(text: string): Packet[] {
  if (existsSync(text)) {
    const bytes = readBytes(text);
    if (!isCapture(bytes)) throw new BadInput(`${text}: neither a pcap nor a pcapng file`);
    try {
      return readCapture(bytes).map(({ bytes }, i) => ({ from: `${text} #${i + 1}`, bytes: bytes }));
    } catch (error) {
      throw new BadInput(`${text}: ${(error as Error).message}`);
    }
  }
  const hex = text.replace(/^0x/i, '').replace(/[\s:]/g, '');
  if (hex === '' || hex.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(hex))
    throw new BadInput(`--packet takes bytes in hex or a capture file, not '${text}'`);
  return [{ from: 'packet', bytes: new Uint8Array(Buffer.from(hex, 'hex')) }];
}

/** The one program to run. */
function chooseProgram(object: BpfObject, file: string, names: readonly string[] | undefined): ObjectProgram {
  const programs = choosePrograms(object, file, names);
  if (programs.length > 1)
    throw new BadInput(`which program? --prog takes one of ${programs.map((p) => p.name).join(', ')}`, { file });
  const [program] = programs;
  if (program.problem !== undefined) throw new BadInput(program.problem.message, { file });
  if (!canTestRun(program.type)) {
    const type = PROG_TYPE_NAMES[program.type] ?? program.type;
    throw new BadInput(`netloom does not support test runs of ${type} programs (${program.name})`, { file });
  }
  return program;
}

/** The program, and those that program arrays of the object name. */
function namesFor(object: BpfObject, program: ObjectProgram): string[] {
  const slots = object.maps.flatMap((map) => map.slots ?? []);
  return [program.name, ...slots.flatMap((slot) => (slot.program === undefined ? [] : [slot.program]))];
}

/** What programs send out: text of printk, records of perf events by map. */
type Outbox = { readonly printk: string[]; readonly events: { readonly map: number; readonly data: string }[] };

function makeSystem(seed: number, outbox: Outbox): BpfSystem {
  const random = new Random(seed);
  const start = process.hrtime.bigint();
  const machine = new Machine({
    slab: new Slab({ slots: 16, largeSlots: 4, heapBytes: 256 << 20 }),
    env: {
      now: () => Number(process.hrtime.bigint() - start),
      taiOffset: Date.now() * 1e6 + 37e9,
      random: () => random.u32(),
      printk: (text) => outbox.printk.push(text),
      perfEvent: (map, _index, data) => {
        outbox.events.push({ map, data: Buffer.from(data).toString('hex') });
        return 0;
      },
    },
  });
  return new BpfSystem(machine);
}

type Outcome = {
  readonly packet: Packet;
  readonly result: TestRun | { readonly errno: number };
  readonly printk: string[];
};

function run(file: string, options: Options): number {
  const repeat = whole(options.repeat, '--repeat', 1);
  const packets = options.packet.flatMap(packetsOf);
  const object = readObject(file, options);
  const program = chooseProgram(object, file, options.prog);
  const outbox: Outbox = { printk: [], events: [] };
  const system = makeSystem(whole(options.seed, '--seed', 0), outbox);
  let loaded: ReturnType<BpfSystem['loadObject']>;
  try {
    const engine = options.interp ? 'interpreted' : options.checking ? 'checking' : 'compiled';
    loaded = system.loadObject(object, { names: namesFor(object, program), run: engine });
  } catch (error) {
    if (error instanceof VerifierError) return refused(error, options);
    if (error instanceof KernelError) throw new BadInput(error.message, { file });
    throw error;
  }
  const main = loaded.programs.find((p) => p.name === program.name) as LoadedProgram;
  const outcomes = packets.map((packet): Outcome => {
    const before = outbox.printk.length;
    const clock = (): number => Number(process.hrtime.bigint());
    const result = testRun(system.machine, main.program, packet.bytes, { repeat, clock });
    return { packet, result, printk: outbox.printk.slice(before) };
  });
  const maps = loaded.maps.map((map) => mapContents(map, outbox.events));
  if (options.json) {
    console.log(
      JSON.stringify(
        {
          program: program.name,
          type: PROG_TYPE_NAMES[program.type],
          runs: outcomes.map((o) => toJson(program, o)),
          maps,
        },
        undefined,
        2,
      ),
    );
    return OK;
  }
  for (const outcome of outcomes) for (const line of describe(program, outcome, repeat)) console.log(line);
  for (const map of maps) {
    if (map.entries.length === 0) continue;
    console.log(`map ${map.name} (${map.type}):`);
    for (const { key, value } of map.entries) console.log(`  ${key === '' ? '' : `${key}: `}${value}`);
    if (map.more > 0) console.log(`  ... and ${map.more} more`);
  }
  return OK;
}

function refused(error: VerifierError, options: Options): number {
  if (options.json) console.log(JSON.stringify({ refused: error.verdict.message, errno: error.errno }, undefined, 2));
  else {
    process.stderr.write(`refused: ${error.message}\n`);
    process.stderr.write('netloom bpf verify says where and what to change\n');
  }
  return REFUSED;
}

/** `XDP_DROP (1)`, or the number alone. */
function returned(program: ObjectProgram, ret: number): string {
  const name = actionName(program.type, ret);
  return name === '' ? String(ret | 0) : `${name} (${ret | 0})`;
}

function redirectText({ redirect }: TestRun): string {
  if (redirect === undefined) return '';
  if (redirect.kind === 'map') return `to map ${redirect.map}, key ${redirect.key}`;
  return `to ${redirect.kind} ${redirect.ifindex}${redirect.flags === 0 ? '' : `, flags ${redirect.flags}`}`;
}

function describe(program: ObjectProgram, { packet, result, printk }: Outcome, repeat: number): string[] {
  const head = `${packet.from} (${packet.bytes.length} bytes): `;
  if ('errno' in result) return [`${head}the kernel refuses the packet: ${strerror(result.errno)} (${result.errno})`];
  const time = repeat > 1 && result.nsPerRun !== undefined ? `, ${result.nsPerRun.toFixed(1)} ns per run` : '';
  const where = redirectText(result);
  return [
    `${head}${returned(program, result.ret)}${where === '' ? '' : ` ${where}`}${time}`,
    ...changedBytes(packet.bytes, result.data, program.type),
    ...changedContext(program.type, result.ctx),
    ...printk.map((text) => `  printk: ${text}`),
  ];
}

function toJson(program: ObjectProgram, { packet, result, printk }: Outcome): Record<string, unknown> {
  const from = { packet: packet.from, length: packet.bytes.length };
  if ('errno' in result) return { ...from, errno: result.errno };
  return {
    ...from,
    ret: result.ret,
    action: actionName(program.type, result.ret) || undefined,
    redirect: result.redirect === undefined ? undefined : redirectText(result),
    data: Buffer.from(result.data).toString('hex'),
    context: Buffer.from(result.ctx).toString('hex'),
    nsPerRun: result.nsPerRun,
    printk,
  };
}
