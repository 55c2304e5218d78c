/**
 * `npm run differential -- [--rulesets N] [--packets N] [--seed N] [--no-kernel]`: the long runs. First, netloom against
 * itself: interpreted and compiled, frames, counters, sets and connections equal. Then, where the running kernel can be
 * asked, netloom with compiled chains against it, every frame that comes out compared.
 */
import { bothWays } from './both-ways.ts';
import { differential, explain } from './differential.ts';
import { loadNft } from './load-nft.ts';
import { NetloomPeer } from './netloom-peer.ts';
import { KernelPeer, whyNoKernel } from './peer.ts';
import { generateRich } from './rulesets.ts';
import { wildRulesets } from './wild.ts';

const args = process.argv.slice(2);
const option = (name: string, fallback: number): number => {
  const at = args.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(args[at + 1]);
};
const seed = option('seed', 1);
const generated = option('rulesets', 100);
const packetsPerRuleset = option('packets', 200);
const progress = (done: number, of: number): void => {
  if (done % 50 === 0) console.error(`${done} of ${of} rulesets`);
};
let bad = 0;

if (!args.includes('--no-both')) {
  const both = await bothWays({ seed, generated, texts: wildRulesets(), packetsPerRuleset, progress });
  bad += both.disagreements.length;
  console.log(
    `interpreted and compiled: ${both.rulesets} rulesets (${both.refused} refused), ${both.packets} packets, chains ${both.compiled} compiled and ${both.interpreted} not, ${both.disagreements.length} disagreements`,
  );
  for (const [why, times] of both.reasons) console.log(`  not compiled: ${why} (${times})`);
  for (const text of both.disagreements) console.log(text);
}

const reason = args.includes('--no-kernel') ? 'not asked for' : whyNoKernel();
if (reason !== undefined) console.log(`against the kernel: not run, ${reason}`);
else {
  const twins = [new KernelPeer(), new KernelPeer()];
  const kernel = new KernelPeer();
  try {
    const plan = { seed, generated, packetsPerRuleset, progress, make: generateRich };
    const report = await differential({ kernel, twins, netloom: new NetloomPeer(loadNft, 'eager') }, plan);
    bad += report.disagreements.length;
    console.log(
      `compiled and this kernel: ${report.rulesets} rulesets (${report.refused} refused by both), ${report.verdicts} verdicts, ${report.rewritten} frames compared, ${report.disagreements.length} disagreements`,
    );
    for (const d of report.disagreements) console.log(explain(d));
  } finally {
    kernel.close();
    for (const twin of twins) twin.close();
  }
}
process.exitCode = bad === 0 ? 0 : 1;
