/**
 * The network layer without rules against the running kernel: frames that are wrong in many ways, every frame that comes
 * out compared.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { NFPROTO_INET } from '../../src/wire/uapi/netfilter.ts';
import { normalize } from './differential.ts';
import { damage, fragments } from './hostile-packets.ts';
import { NetloomPeer } from './netloom-peer.ts';
import { PacketSource } from './packets.ts';
import { type Frame, KernelPeer, type Outcome, sharedFolder, whyNoKernel } from './peer.ts';

const why = whyNoKernel();
if (why !== undefined) console.log(`hostile.test: skipped, ${why}`);

// "Net unreachable" is limited to one each second of real time.
const limited = (frame: string): boolean =>
  frame.slice(24, 30) === '080045' && frame.slice(46, 48) === '01' && frame.slice(68, 72) === '0300';
// The identification of IPv6 fragments that the router makes is drawn at random.
const masked = (frame: string): string =>
  frame.slice(24, 28) === '86dd' && frame.slice(40, 42) === '2c'
    ? `${frame.slice(0, 116)}........${frame.slice(124)}`
    : frame;
const show = (o: Outcome): string =>
  o
    .map((frames) =>
      frames
        .filter((f) => !limited(f))
        .map(normalize)
        .map(masked)
        .join(' '),
    )
    .join(' | ');

const seed = Number(process.env.SEED ?? 1);
const rounds = Number(process.env.ROUNDS ?? 2);
// A rule that looks at connections: packets are put together and tracked before routing.
const TRACKED = 'table inet t { chain c { type filter hook prerouting priority 0; ct state new counter\n}\n}';

/** Plays the frames of each round to a fresh kernel namespace and a fresh host; how many frames fared differently. */
async function disagreements(what: string, tracked: boolean, make: (random: Random) => Frame[]): Promise<number> {
  let wrong = 0;
  let total = 0;
  for (let round = 0; round < rounds; round++) {
    const frames = make(new Random(seed * 1000 + round));
    const kernel = new KernelPeer();
    const netloom = new NetloomPeer(() => undefined);
    if (tracked) {
      expect(await kernel.load(TRACKED)).toBeUndefined();
      netloom.host.conntrack.get(NFPROTO_INET);
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
  console.log(`${what}: ${total} frames, ${wrong} disagreements, seed ${seed}`);
  return wrong;
}

function hostile(random: Random): Frame[] {
  const battery = readFileSync(join(sharedFolder(), 'conformance/netfilter/nft-match-matrix/packets.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { frame: string }).frame);
  const source = new PacketSource(random);
  return Array.from({ length: 1500 }, (): Frame => {
    const [side, hex] = source.next();
    if (random.below(2) === 0) return [side, random.below(5) === 0 ? hex : damage(hex, random)];
    return [0, damage(battery[random.below(battery.length)], random)];
  });
}

function datagrams(random: Random): Frame[] {
  return Array.from({ length: 300 }, (_, i) => fragments(i + 1, random)).flat();
}

test.skipIf(why !== undefined)('frames that are wrong in many ways fare as in the kernel', async () => {
  expect(await disagreements('hostile', false, hostile)).toBe(0);
});

test.skipIf(why !== undefined)('also while connections are tracked', async () => {
  expect(await disagreements('hostile, tracked', true, hostile)).toBe(0);
});

test.skipIf(why !== undefined)('fragments in any order, overlapping or missing, fare as in the kernel', async () => {
  expect(await disagreements('fragments', false, datagrams)).toBe(0);
});

test.skipIf(why !== undefined)('fragments put together for connection tracking leave as they came', async () => {
  expect(await disagreements('fragments, tracked', true, datagrams)).toBe(0);
});
