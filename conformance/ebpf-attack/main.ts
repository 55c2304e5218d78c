/**
 * `npm run attack -- [--programs N] [--kernel N] [--seed N] [--from N] [--json]`: the long run. Programs are numbered within a
 * seed and depend on nothing else: `--from` goes on where another run stopped. Progress and a summary go to stderr, what was
 * found to stdout. Exit code 0 when that is nothing.
 */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Attack } from './attack.ts';
import { corpus, frames } from './corpus.ts';
import { KernelComparison, kernelAnswers } from './differential.ts';

const { values } = parseArgs({
  options: {
    programs: { type: 'string', default: '10000' },
    kernel: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed);
const from = Number(values.from);
const data = join(process.env.NETLOOM_SHARED ?? resolve('../shared'), 'conformance/ebpf');
const recorded = corpus(data);
const packets = frames(data);
const note = (text: string): void => void process.stderr.write(`${text}\n`);
const found = (text: string): void => (values.json ? undefined : console.log(text));
/** Ways between two lines of progress. */
const PROGRESS_MS = 10_000;
/** Programs per process of the kernel's side. */
const KERNEL_CHUNK = 500;

note(`${recorded.length} recorded programs to change, seed ${seed}, from ${from}`);
const attack = new Attack(seed, recorded, packets);
const holes: { id: string; type: number; problem: string; insns: string }[] = [];
const start = Date.now();
let last = start;
for (let n = from; n < from + Number(values.programs); n++) {
  const hole = attack.program(n);
  if (hole !== undefined) {
    const { id, type, insns } = hole.program;
    holes.push({ id, type, problem: hole.problem, insns });
    found(`HOLE ${id} (type ${type}): ${hole.problem}\n  ${insns}`);
  }
  if (Date.now() - last > PROGRESS_MS) {
    last = Date.now();
    const each = (last - start) / attack.tally.programs;
    note(`next ${n + 1}: ${JSON.stringify(attack.tally)}, ${holes.length} holes, ${each.toFixed(2)} ms a program`);
  }
}
note(`attack: ${JSON.stringify(attack.tally)}, ${holes.length} holes, ${((Date.now() - start) / 1000).toFixed(0)} s`);

// Other programs than those above: also where nothing has been cut short.
const comparison = new KernelComparison(seed + 1, recorded, packets);
const { falseAccepts, falseRejects, differences } = comparison.result;
const asked = Number(values.kernel) > 0 && kernelAnswers();
if (Number(values.kernel) > 0 && !asked) note('not compared with the kernel: bpf(2) is not allowed here');
for (let done = 0; asked && done < Number(values.kernel); done += KERNEL_CHUNK) {
  const before = [falseAccepts.length, falseRejects.length, differences.length];
  comparison.programs(from + done, Math.min(KERNEL_CHUNK, Number(values.kernel) - done));
  for (const text of falseAccepts.slice(before[0])) found(`FALSE ACCEPT ${text}`);
  for (const text of falseRejects.slice(before[1])) found(`false reject ${text}`);
  for (const text of differences.slice(before[2])) found(`difference ${text}`);
  const { programs, compared, accepted, runs } = comparison.result;
  note(
    `kernel: ${programs} programs, ${compared} compared, ${accepted} accepted by both, ${runs} runs; ` +
      `false accepts ${falseAccepts.length}, false rejects ${falseRejects.length}, differences ${differences.length}`,
  );
}
if (values.json) console.log(JSON.stringify({ seed, from, tally: attack.tally, holes, kernel: comparison.result }));
process.exitCode = holes.length + falseAccepts.length + falseRejects.length + differences.length > 0 ? 1 : 0;
