import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Attack } from './attack.ts';
import { corpus, frames } from './corpus.ts';
import { KernelComparison, kernelAnswers } from './differential.ts';

const data = join(process.env.NETLOOM_SHARED ?? '../shared', 'conformance/ebpf');
const seed = Number(process.env.NETLOOM_SEED ?? 20782);
const recorded = corpus(data);
const packets = frames(data);

test('what the verifier accepts runs without a bad access, and alike in three ways', { timeout: 300_000 }, () => {
  const attack = new Attack(seed, recorded, packets);
  for (let n = 0; n < 2000; n++) expect(attack.program(n)).toBeUndefined();
  console.log(`seed ${seed}: ${JSON.stringify(attack.tally)}`);
  expect(attack.tally.ran).toBeGreaterThan(100);
});

const able = kernelAnswers();
if (!able) console.warn('skipped: bpf(2) is not allowed here (needs root and python3)');

test.skipIf(!able)('a sample is judged and run as by this kernel', { timeout: 300_000 }, () => {
  const comparison = new KernelComparison(seed + 1, recorded, packets);
  comparison.programs(0, 400);
  const { compared, accepted, runs, falseAccepts, falseRejects, differences } = comparison.result;
  console.log(`${compared} programs, ${accepted} accepted by both, ${runs} runs compared`);
  expect(falseAccepts).toEqual([]);
  expect(falseRejects).toEqual([]);
  expect(differences).toEqual([]);
});
