import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { attack, newTally, programOf } from './attack.ts';
import { corpus, frames } from './corpus.ts';
import { compareWithKernel, kernelAnswers } from './differential.ts';

const data = join(process.env.NETLOOM_SHARED ?? '../shared', 'conformance/ebpf');
const seed = Number(process.env.NETLOOM_SEED ?? 20782);
const recorded = corpus(data);
const packets = frames(data);

test('what the verifier accepts runs without a bad access, and alike in three ways', { timeout: 300_000 }, () => {
  const tally = newTally();
  const r = new Random(seed);
  for (let n = 0; n < 600; n++) {
    const hole = attack(programOf(seed, n, recorded), r, packets, tally);
    expect(hole).toBeUndefined();
  }
  console.log(`seed ${seed}: ${JSON.stringify(tally)}`);
  expect(tally.ran).toBeGreaterThan(40);
});

const able = kernelAnswers();
if (!able) console.warn('skipped: bpf(2) is not allowed here (needs root and python3)');

test.skipIf(!able)('a sample is judged and run as by this kernel', { timeout: 300_000 }, () => {
  const programs = Array.from({ length: 400 }, (_, n) => programOf(seed + 1, n, recorded));
  const result = compareWithKernel(programs, seed, packets);
  console.log(`${result.compared} programs, ${result.accepted} accepted by both, ${result.runs} runs compared`);
  expect(result.falseAccepts).toEqual([]);
  expect(result.falseRejects).toEqual([]);
  expect(result.differences).toEqual([]);
});
