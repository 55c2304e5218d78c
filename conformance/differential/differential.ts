/**
 * The differential test: the same rulesets and packets through netloom and through the running kernel, every frame that
 * comes out compared byte by byte. A disagreement is shrunk to the smallest ruleset and the fewest packets.
 */
import { Random } from '../../src/core/random.ts';
import { PacketSource } from './packets.ts';
import type { Frame, Outcome, Peer } from './peer.ts';
import { type GeneratedRuleset, generate, render, smaller } from './rulesets.ts';

/** The kernel, others like it that tell where the kernel itself is not deterministic, and netloom. */
export type Peers = { readonly kernel: Peer; readonly twins: readonly Peer[]; readonly netloom: Peer };

export type Disagreement = {
  readonly ruleset: string;
  readonly frames: readonly Frame[];
  readonly kernel: string;
  readonly netloom: string;
};

export type Report = {
  readonly seed: number;
  rulesets: number;
  /** Rulesets that the kernel refused; netloom is asked to refuse them too. */
  refused: number;
  verdicts: number;
  rewritten: number;
  disagreements: Disagreement[];
};

/**
 * IPv4 header checksum as "good" or "bad"; left out of packets that the router made itself: IPv4 identification, IPv6 flow
 * label (a hash with a key of that machine).
 */
export function normalize(hex: string): string {
  if (hex.slice(24, 28) === '86dd') {
    const source = hex.slice(44, 76);
    const router = source === 'fd000000000000000000000000000001' || source === 'fd010000000000000000000000000001';
    // Resets and errors may have been given another source by NAT on their way out.
    const reset = hex.slice(40, 42) === '06' && (Number.parseInt(hex.slice(134, 136), 16) & 4) !== 0;
    return router || reset || hex.slice(40, 42) === '3a' ? `${hex.slice(0, 31)}.....${hex.slice(36)}` : hex;
  }
  if (hex.slice(24, 28) !== '0800') return hex;
  const header = hex.slice(28, 28 + (Number.parseInt(hex[29], 16) << 3));
  let sum = 0;
  for (let i = 0; i < header.length; i += 4) sum += Number.parseInt(header.slice(i, i + 4), 16);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  const isError = (Number.parseInt(header.slice(2, 4), 16) & 0xc0) === 0xc0 && header.slice(18, 20) === '01';
  // Errors that the router makes carry precedence 6, also when NAT has given them another source.
  const own = header.startsWith('0a000001', 24) || header.startsWith('0a000101', 24) || isError;
  const id = own ? '....' : header.slice(8, 12);
  // An ICMP error quotes a header whose identification and checksum are the quoted packet's: compared as they are.
  return `${hex.slice(0, 36)}${id}${hex.slice(40, 48)}${sum === 0xffff ? 'good' : 'bad!'}${hex.slice(52)}`;
}

/**
 * Undefined when both peers did the same with the frame. Where the kernel and another kernel do not (a port chosen at
 * random because another was taken), only how many frames came out where, and how long they are, can be compared.
 */
function compare(
  kernel: Outcome,
  twins: readonly Outcome[],
  netloom: Outcome,
): [kernel: string, netloom: string] | undefined {
  const show = (o: Outcome): string => `t0 [${o[0].map(normalize).join(' ')}] t1 [${o[1].map(normalize).join(' ')}]`;
  const shape = (o: Outcome): string => o.map((frames) => frames.map((f) => f.length)).join(' | ');
  const k = show(kernel);
  const n = show(netloom);
  if (k === n) return undefined;
  if (twins.some((t) => show(t) !== k) && shape(kernel) === shape(netloom)) return undefined;
  return [k, n];
}

type Difference = { at: number; kernel: string; netloom: string };

async function play(
  { kernel, twins, netloom }: Peers,
  rules: string,
  frames: readonly Frame[],
): Promise<Difference | undefined> {
  const [refusedK, refusedN] = await Promise.all([
    kernel.load(rules),
    netloom.load(rules),
    ...twins.map((t) => t.load(rules)),
  ]);
  if ((refusedK === undefined) !== (refusedN === undefined)) {
    return { at: -1, kernel: refusedK ?? 'loads', netloom: refusedN ?? 'loads' };
  }
  if (refusedK !== undefined) return undefined;
  const [a, b, ...others] = await Promise.all([
    kernel.send(frames),
    netloom.send(frames),
    ...twins.map((t) => t.send(frames)),
  ]);
  for (let i = 0; i < frames.length; i++) {
    const difference = compare(
      a[i],
      others.map((o) => o[i]),
      b[i],
    );
    if (difference) return { at: i, kernel: difference[0], netloom: difference[1] };
  }
  return undefined;
}

/** Leaves out rules and packets while the disagreement remains. */
async function shrink(
  peers: Peers,
  ruleset: GeneratedRuleset | string,
  frames: readonly Frame[],
  found: Difference,
): Promise<Disagreement> {
  let current = ruleset;
  let packets = frames.slice(0, found.at + 1);
  let difference = found;
  const text = (r: GeneratedRuleset | string): string => (typeof r === 'string' ? r : render(r));
  const retry = async (r: GeneratedRuleset | string, f: readonly Frame[]): Promise<boolean> => {
    const d = await play(peers, text(r), f);
    // A ruleset that only one side loads is another disagreement than two that treat a packet differently.
    if (d === undefined || d.at < 0 !== found.at < 0) return false;
    current = r;
    packets = f.slice(0, d.at + 1);
    difference = d;
    return true;
  };
  for (let size = packets.length >> 1; size >= 1; size >>= 1) {
    for (let i = 0; i + size < packets.length; ) if (!(await retry(current, packets.toSpliced(i, size)))) i += size;
  }
  for (let again = typeof current !== 'string'; again; ) {
    again = false;
    for (const candidate of smaller(current as GeneratedRuleset)) {
      if (await retry(candidate, packets)) {
        again = true;
        break;
      }
    }
  }
  return { ruleset: text(current), frames: packets, kernel: difference.kernel, netloom: difference.netloom };
}

/** Takes out of a generated ruleset the rules that the kernel refuses (contradictions the generator does not know). */
async function loadable(kernel: Peer, ruleset: GeneratedRuleset): Promise<GeneratedRuleset> {
  if ((await kernel.load(render(ruleset))) === undefined) return ruleset;
  const chains = ruleset.chains.map((c) => ({ ...c, rules: [] as string[] }));
  for (let c = 0; c < chains.length; c++) {
    for (const rule of ruleset.chains[c].rules) {
      chains[c].rules.push(rule);
      if ((await kernel.load(render({ ...ruleset, chains }))) !== undefined) chains[c].rules.pop();
    }
  }
  return { ...ruleset, chains };
}

export type Plan = {
  readonly seed: number;
  /** Rulesets to draw. */
  readonly generated: number;
  /** Ruleset texts to run besides. */
  readonly texts?: readonly string[];
  readonly packetsPerRuleset: number;
  /** Draws a ruleset; default `generate`. */
  readonly make?: (random: Random) => GeneratedRuleset;
  /** Stop after so many disagreements. */
  readonly maxDisagreements?: number;
  readonly progress?: (done: number, of: number) => void;
};

/** Runs the plan; every ruleset and packet follows from the seed. */
export async function differential(peers: Peers, plan: Plan): Promise<Report> {
  const { kernel, twins, netloom } = peers;
  const report: Report = { seed: plan.seed, rulesets: 0, refused: 0, verdicts: 0, rewritten: 0, disagreements: [] };
  const random = new Random(plan.seed);
  const texts = plan.texts ?? [];
  const total = plan.generated + texts.length;
  for (let i = 0; i < total; i++) {
    plan.progress?.(i, total);
    const own = random.fork();
    const ruleset = i < texts.length ? texts[i] : await loadable(kernel, (plan.make ?? generate)(own));
    const source = new PacketSource(own);
    const frames = Array.from({ length: plan.packetsPerRuleset }, () => source.next());
    const rules = typeof ruleset === 'string' ? ruleset : render(ruleset);
    const [refusedK, refusedN] = await Promise.all([
      kernel.load(rules),
      netloom.load(rules),
      ...twins.map((t) => t.load(rules)),
    ]);
    report.rulesets++;
    if (refusedK !== undefined && refusedN !== undefined) {
      report.refused++;
      continue;
    }
    let found: Difference | undefined;
    if (refusedK !== undefined || refusedN !== undefined) {
      found = { at: -1, kernel: refusedK ?? 'loads', netloom: refusedN ?? 'loads' };
    } else {
      const [a, b, ...others] = await Promise.all([
        kernel.send(frames),
        netloom.send(frames),
        ...twins.map((t) => t.send(frames)),
      ]);
      for (let f = 0; f < frames.length && found === undefined; f++) {
        const difference = compare(
          a[f],
          others.map((o) => o[f]),
          b[f],
        );
        if (difference) found = { at: f, kernel: difference[0], netloom: difference[1] };
        else {
          report.verdicts++;
          report.rewritten += a[f][0].length + a[f][1].length;
        }
      }
    }
    if (found) {
      report.disagreements.push(await shrink(peers, ruleset, frames, found));
      if (report.disagreements.length >= (plan.maxDisagreements ?? 5)) break;
    }
  }
  return report;
}

/** A disagreement as a person reads it. */
export function explain(d: Disagreement): string {
  const frames = d.frames.map(([side, hex]) => `  into t${side}: ${hex}`).join('\n');
  return `ruleset:\n${d.ruleset}\npackets:\n${frames}\nthe last one, kernel:  ${d.kernel}\nthe last one, netloom: ${d.netloom}`;
}
