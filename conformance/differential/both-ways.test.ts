import { expect, test } from 'vitest';
import { bothWays } from './both-ways.ts';
import { wildRulesets } from './wild.ts';

const seed = Number(process.env.NETLOOM_SEED ?? 4711);
const generated = Number(process.env.NETLOOM_RULESETS ?? 30);
const packetsPerRuleset = Number(process.env.NETLOOM_PACKETS ?? 60);

test('compiled chains treat every packet as the interpreter does, and count the same', async () => {
  const report = await bothWays({ seed, generated, texts: wildRulesets(), packetsPerRuleset });
  console.log(
    `seed ${seed}: ${report.rulesets} rulesets (${report.refused} refused), ${report.packets} packets; chains ${report.compiled} compiled, ${report.interpreted} interpreted ${JSON.stringify([...report.reasons])}`,
  );
  expect(report.disagreements).toEqual([]);
  expect(report.compiled).toBeGreaterThan(0);
}, 600_000);
