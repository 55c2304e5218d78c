import { expect, test } from 'vitest';
import { differential, explain, normalize } from './differential.ts';
import { loadNft } from './load-nft.ts';
import { NetloomPeer } from './netloom-peer.ts';
import { KernelPeer, whyNoKernel } from './peer.ts';
import { wildRulesets } from './wild.ts';

const reason = whyNoKernel();
if (reason !== undefined) console.log(`differential test against the kernel skipped: ${reason}`);

// One seed by default, so that a run says something about the change it runs on; NETLOOM_SEED explores.
const seed = Number(process.env.NETLOOM_SEED ?? 20_782);

test.skipIf(reason !== undefined)(
  'netloom and the running kernel treat every packet of random and of real rulesets the same',
  async () => {
    const peers = {
      kernel: new KernelPeer(),
      twins: [new KernelPeer(), new KernelPeer()],
      netloom: new NetloomPeer(loadNft),
    };
    try {
      const report = await differential(peers, { seed, generated: 120, texts: wildRulesets(), packetsPerRuleset: 600 });
      const { rulesets, refused, verdicts, rewritten, disagreements } = report;
      console.log(
        `seed ${seed}: ${rulesets} rulesets (${refused} refused by both), ${verdicts} verdicts, ${rewritten} frames compared, ${disagreements.length} disagreements`,
      );
      expect(disagreements.map(explain)).toEqual([]);
      expect(rulesets - refused).toBeGreaterThanOrEqual(100);
      expect(verdicts).toBeGreaterThanOrEqual(100_000);
      expect(peers.netloom.world.slab.used).toBe(0);
    } finally {
      peers.kernel.close();
      for (const twin of peers.twins) twin.close();
    }
  },
  600_000,
);

test('frames that only differ in what a router may choose freely are the same', () => {
  const frame = (id: string, sum: string): string =>
    `0200000000a00200000000000800${`45000028${id}4000400${'6'}${sum}0a0000010a000002`}`;
  expect(normalize(frame('0000', '26cd'))).toBe(normalize(frame('0001', '26cc')));
  expect(normalize(frame('0001', '26cd'))).not.toBe(normalize(frame('0001', '26cc')));
});
