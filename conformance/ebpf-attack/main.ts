/** `npm run attack -- [--programs N] [--kernel N] [--seed N]`: the long run. Exit code 0 when no hole was found. */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '../../src/core/random.ts';
import { attack, newTally, programOf } from './attack.ts';
import { corpus, frames } from './corpus.ts';
import { compareWithKernel, kernelAnswers } from './differential.ts';

const { values } = parseArgs({
  options: {
    programs: { type: 'string', default: '10000' },
    kernel: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
  },
});
const seed = Number(values.seed);
const data = join(process.env.NETLOOM_SHARED ?? resolve('../shared'), 'conformance/ebpf');
const recorded = corpus(data);
const packets = frames(data);
console.log(`${recorded.length} recorded programs to change, seed ${seed}`);

const tally = newTally();
const r = new Random(seed);
let holes = 0;
let last = Date.now();
for (let n = 0; n < Number(values.programs); n++) {
  const hole = attack(programOf(seed, n, recorded), r, packets, tally);
  if (hole !== undefined) {
    holes++;
    console.log(`HOLE ${hole.program.id} (type ${hole.program.type}): ${hole.problem}\n  ${hole.program.insns}`);
  }
  if (Date.now() - last > 2000) {
    last = Date.now();
    process.stderr.write(`\r${n + 1} programs...`);
  }
}
console.log(`\n${JSON.stringify(tally)}, ${holes} holes`);

let off = 0;
if (Number(values.kernel) > 0) {
  if (!kernelAnswers()) console.log('not compared with the kernel: bpf(2) is not allowed here');
  else
    for (let done = 0; done < Number(values.kernel); done += 1000) {
      const count = Math.min(1000, Number(values.kernel) - done);
      const programs = Array.from({ length: count }, (_, n) => programOf(seed + 1, done + n, recorded));
      const c = compareWithKernel(programs, seed + done, packets);
      for (const [what, list] of Object.entries({
        'FALSE ACCEPT': c.falseAccepts,
        'false reject': c.falseRejects,
        difference: c.differences,
      }))
        for (const text of list) console.log(`${what} ${text}`);
      off += c.falseAccepts.length + c.falseRejects.length + c.differences.length;
      console.log(
        `kernel: ${c.compared} programs, ${c.accepted} accepted by both, ${c.runs} runs; false accepts ${c.falseAccepts.length}, false rejects ${c.falseRejects.length}, differences ${c.differences.length}`,
      );
    }
}
process.exitCode = holes + off > 0 ? 1 : 0;
