/**
 * The network layer without rules against the running kernel: frames that are wrong in many ways, every frame that comes
 * out compared.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { normalize } from './differential.ts';
import { damage } from './hostile-packets.ts';
import { NetloomPeer } from './netloom-peer.ts';
import { PacketSource } from './packets.ts';
import { type Frame, KernelPeer, type Outcome, sharedFolder, whyNoKernel } from './peer.ts';

const why = whyNoKernel();
if (why !== undefined) console.log(`hostile.test: skipped, ${why}`);

// "Net unreachable" is limited to one each second of real time.
const limited = (frame: string): boolean =>
  frame.slice(24, 30) === '080045' && frame.slice(46, 48) === '01' && frame.slice(68, 72) === '0300';
const show = (o: Outcome): string =>
  o
    .map((frames) =>
      frames
        .filter((f) => !limited(f))
        .map(normalize)
        .join(' '),
    )
    .join(' | ');

test.skipIf(why !== undefined)('frames that are wrong in many ways fare as in the kernel', async () => {
  const seed = Number(process.env.SEED ?? 1);
  const rounds = Number(process.env.ROUNDS ?? 2);
  const battery = readFileSync(join(sharedFolder(), 'conformance/netfilter/nft-match-matrix/packets.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { frame: string }).frame);
  let wrong = 0;
  let total = 0;
  for (let round = 0; round < rounds; round++) {
    const random = new Random(seed * 1000 + round);
    const source = new PacketSource(random);
    const kernel = new KernelPeer();
    const netloom = new NetloomPeer(() => undefined);
    const frames: Frame[] = [];
    for (let i = 0; i < 1500; i++) {
      const [side, hex] = source.next();
      const whole = random.below(2) === 0 ? hex : battery[random.below(battery.length)];
      frames.push(
        whole === hex ? [side, random.below(5) === 0 ? hex : damage(hex, random)] : [0, damage(whole, random)],
      );
    }
    const [theirs, ours] = [await kernel.send(frames), await netloom.send(frames)];
    kernel.close();
    for (let i = 0; i < frames.length; i++) {
      total++;
      const [k, n] = [show(theirs[i]), show(ours[i])];
      if (k === n) continue;
      if (wrong++ < Number(process.env.SHOW ?? 12))
        console.log(`frame ${frames[i][0]} ${frames[i][1]}\n kernel  ${k}\n netloom ${n}`);
    }
  }
  console.log(`${total} frames, ${wrong} disagreements, seed ${seed}`);
  expect(wrong).toBe(0);
});
