/** `netloom bpf verify FILE.o`: would this kernel take these programs, and if not, what to change. */
import { relative } from 'node:path';
import type { Command } from 'commander';
import type { ObjectProgram } from '../../bpf/elf/index.ts';
import { BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE, isLdImm64 } from '../../bpf/insn.ts';
import type { LineInfo } from '../../bpf/program.ts';
import { type Mode, type Verdict, verify } from '../../bpf/verifier/verify.ts';
import { BadInput } from '../../firewall/problem.ts';
import type { Style } from '../../firewall/report.ts';
import { PROG_TYPE_NAMES } from '../../wire/uapi/bpf.ts';
import { BAD_INPUT, guarded, OK, REFUSED, style } from '../output.ts';
import { choosePrograms, type ObjectOptions, readObject, withObjectOptions } from './object-file.ts';

const HELP = `
Verifies the programs of a BPF object by the rules of Linux 6.18, without a kernel.

Exit code: 0 all accepted, 1 one refused, 2 the file or a program of it cannot be read.

Examples:
  netloom bpf verify xdp_filter.o
  netloom bpf verify xdp_filter.o --prog parse --log-level 2
  netloom bpf verify build/*.o --annotate github
  netloom bpf verify trace.o --btf /sys/kernel/btf/vmlinux --json
`;

type Options = ObjectOptions & {
  readonly json?: boolean;
  readonly logLevel?: string;
  readonly annotate?: string;
  readonly mode: string;
};

/** What became of one program. */
type Result = {
  readonly file: string;
  readonly program: ObjectProgram;
  readonly verdict?: Verdict;
};

const MODES: readonly string[] = ['root', 'netadmin', 'unpriv'];
/** Lines of the kernel's log shown for a refusal. */
const TAIL = 6;

export function addVerify(bpf: Command): void {
  withObjectOptions(
    bpf
      .command('verify')
      .description('does the kernel accept these programs; if not, why, where, and what to change')
      .argument('<files...>', 'BPF objects (clang -target bpf -c)'),
  )
    .option('--log-level <n>', "print the verifier's log: 1, 2, or 4 for statistics, added up")
    .option('--mode <mode>', 'who loads them: root, netadmin, unpriv', 'root')
    .option('--json', 'print the results as JSON')
    .option('--annotate <what>', 'github: print refusals as annotations of a pull request')
    .addHelpText('after', HELP)
    .action((files: string[], options: Options) => guarded(() => run(files, options)));
}

function run(files: readonly string[], options: Options): number {
  if (!MODES.includes(options.mode))
    throw new BadInput(`there is no mode '${options.mode}'; modes: ${MODES.join(', ')}`);
  if (options.annotate !== undefined && options.annotate !== 'github')
    throw new BadInput(`--annotate takes github, not '${options.annotate}'`);
  const level = Number(options.logLevel ?? 0);
  if (!Number.isInteger(level) || level < 0 || level > 7) throw new BadInput('--log-level takes a number from 0 to 7');

  const results: Result[] = [];
  const unread: { file: string; problem: string }[] = [];
  for (const file of files) {
    try {
      const object = readObject(file, options);
      for (const program of choosePrograms(object, file, options.prog))
        results.push({ file, program, verdict: judge(program, options.mode as Mode, level) });
    } catch (error) {
      if (!(error instanceof BadInput)) throw error;
      unread.push({ file, problem: error.message });
    }
  }
  if (options.json) print({ results: results.map((r) => toJson(r, level)), unread });
  else {
    const paint = style();
    let last = '';
    for (const r of results) {
      if (r.file !== last) console.log(paint.bold(r.file));
      last = r.file;
      for (const line of describe(r, level, paint)) console.log(line);
    }
    for (const { file, problem } of unread) process.stderr.write(`${file}: ${problem}\n`);
  }
  if (options.annotate !== undefined) for (const line of annotations(results, unread)) console.log(line);
  if (unread.length > 0 || results.some((r) => r.verdict === undefined)) return BAD_INPUT;
  return results.every((r) => r.verdict?.ok) ? OK : REFUSED;
}

const print = (value: unknown): void => console.log(JSON.stringify(value, undefined, 2));

function judge(program: ObjectProgram, mode: Mode, level: number): Verdict | undefined {
  if (problemOf(program) !== undefined) return undefined;
  // Level 1 for the lines before a refusal.
  return verify(program, { mode, logLevel: level === 0 ? 1 : level });
}

/** Why the program cannot even be judged. */
function problemOf(program: ObjectProgram): string | undefined {
  if (program.problem !== undefined) return program.problem.message;
  if (program.type === 0) return `section '${program.section}' tells no program type; give one with --type`;
  return undefined;
}

/** Names of the maps that the instructions use. */
function mapsOf(program: ObjectProgram): string[] {
  const used = new Set<number>();
  for (const insn of program.insns)
    if (isLdImm64(insn) && (insn.src === BPF_PSEUDO_MAP_FD || insn.src === BPF_PSEUDO_MAP_VALUE)) used.add(insn.imm);
  return program.maps.filter((_, i) => used.has(i)).map((m) => m.name);
}

const typeName = (program: ObjectProgram): string => PROG_TYPE_NAMES[program.type] ?? String(program.type);

const stackOf = (verdict: Verdict): string =>
  `${verdict.subprogs.map((s) => s.stackDepth).join('+') || 0} bytes of stack`;

/** Where it was refused, without the way to the folder we are in. */
function placeOf(source: LineInfo): string {
  const from = relative(process.cwd(), source.file);
  return from.startsWith('..') ? source.file : from;
}

/** A refusal's hint; an unresolved CO-RE relocation explains itself better than the call it became. */
function hintOf({ program, verdict }: Result): string {
  const { explanation } = verdict!;
  const missing = explanation === undefined ? undefined : program.unresolved?.get(explanation.insn);
  if (missing !== undefined)
    return `The target has no ${missing}: guard the access with bpf_core_field_exists() or bpf_core_type_exists(), or name another target with --btf.`;
  return explanation?.hint ?? '';
}

function describe(r: Result, level: number, paint: Style): string[] {
  const { program, verdict } = r;
  const head = `${program.name} (${typeName(program)})`;
  if (verdict === undefined) return [`  ${paint.bad('unreadable')} ${head}`, `             ${problemOf(program)}`];
  const log =
    level === 0
      ? []
      : verdict.log
          .trimEnd()
          .split('\n')
          .map((line) => `    ${line}`);
  if (verdict.ok) {
    const maps = mapsOf(program);
    const facts = [
      `${program.insns.length} instructions`,
      `${verdict.processed} walked`,
      stackOf(verdict),
      ...(maps.length > 0 ? [`maps ${maps.join(' ')}`] : []),
    ];
    return [`  ${paint.good('accepted')}   ${head}: ${facts.join(', ')}`, ...log];
  }
  const lines = [`  ${paint.bad('REFUSED')}    ${head}: ${verdict.message || `errno ${verdict.errno}`}`];
  const shown = level === 0 ? tailOf(verdict) : verdict.log.trimEnd().split('\n');
  for (const line of shown) lines.push(`    ${paint.dim(line)}`);
  const { explanation } = verdict;
  if (explanation?.source !== undefined) {
    const { source } = explanation;
    lines.push(`    ${paint.bold(`${placeOf(source)}:${source.line}:${source.column}`)}: ${source.text.trim()}`);
  }
  for (const line of explanation?.history ?? []) lines.push(`    ${line}`);
  const hint = hintOf(r);
  if (hint !== '') lines.push(`    ${paint.bold('hint:')} ${hint}`);
  return lines;
}

/** The last lines of the log, without the statistics behind them. */
function tailOf(verdict: Verdict): string[] {
  const lines = verdict.log.trimEnd().split('\n');
  while (/^(processed \d+ insns|verification time|stack depth)/.test(lines.at(-1) ?? '')) lines.pop();
  return lines.slice(-TAIL);
}

function toJson(r: Result, level: number): unknown {
  const { file, program, verdict } = r;
  const about = { file, program: program.name, section: program.section, type: typeName(program) };
  if (verdict === undefined) return { ...about, verdict: 'unreadable', message: problemOf(program) };
  const { explanation } = verdict;
  return {
    ...about,
    verdict: verdict.ok ? 'accepted' : 'refused',
    instructions: program.insns.length,
    processed: verdict.processed,
    stack: verdict.subprogs.map((s) => s.stackDepth),
    maps: mapsOf(program),
    ...(!verdict.ok && {
      errno: verdict.errno,
      message: verdict.message,
      insn: explanation?.insn,
      source: explanation?.source,
      history: explanation?.history,
      hint: hintOf(r),
      tail: tailOf(verdict),
    }),
    ...(level > 0 && { log: verdict.log }),
  };
}

/** Workflow commands of GitHub Actions: shown at the source line in a pull request. */
function* annotations(
  results: readonly Result[],
  unread: readonly { file: string; problem: string }[],
): Iterable<string> {
  for (const r of results) {
    if (r.verdict?.ok) continue;
    const source = r.verdict?.explanation?.source;
    const where =
      source === undefined
        ? [`file=${property(r.file)}`]
        : [`file=${property(placeOf(source))}`, `line=${source.line}`, `col=${source.column}`];
    const message =
      r.verdict === undefined ? problemOf(r.program)! : [r.verdict.message, hintOf(r)].filter(Boolean).join('\n');
    yield `::error ${[...where, `title=${property(`BPF verifier: ${r.program.name}`)}`].join(',')}::${data(message)}`;
  }
  for (const { file, problem } of unread) yield `::error file=${property(file)},title=BPF object::${data(problem)}`;
}

const data = (text: string): string => text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
const property = (text: string): string => data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
