/**
 * The same rulesets and packets through a host that interprets chains and through one that compiles them: frames, counters,
 * sets, marks and connections are to be the same to the byte.
 */
import { Random } from '../../src/core/random.ts';
import { describe } from '../../src/netfilter/conntrack/text.ts';
import type { Host } from '../../src/netns/host.ts';
import { nft } from '../../src/tools/nft/index.ts';
import { loadNft } from './load-nft.ts';
import { NetloomPeer } from './netloom-peer.ts';
import { PacketSource } from './packets.ts';
import type { Frame, Outcome } from './peer.ts';
import { type GeneratedRuleset, generateRich, render, smaller } from './rulesets.ts';

export type BothReport = {
  rulesets: number;
  refused: number;
  packets: number;
  /** Chains that ran compiled, and those that did not. */
  compiled: number;
  interpreted: number;
  readonly reasons: Map<string, number>;
  readonly disagreements: string[];
};

export type BothPlan = {
  readonly seed: number;
  readonly generated: number;
  readonly texts?: readonly string[];
  readonly packetsPerRuleset: number;
  readonly progress?: (done: number, of: number) => void;
};

/** Everything that packets may have changed, as text. */
function state(peer: NetloomPeer): string {
  const listed = nft(['-s', 'list', 'ruleset'], { netlink: peer.io.netlink }).stdout;
  const counted = nft(['list', 'ruleset'], { netlink: peer.io.netlink }).stdout;
  return `${listed === '' ? '' : counted}\n${connections(peer.host)}`;
}

function connections(host: Host): string {
  const out: string[] = [];
  host.conntrack.forEach((ct) => {
    out.push(`${describe(ct)} mark=${ct.mark} status=${ct.status}`);
  });
  return out.sort().join('\n');
}

class Both {
  readonly interpreted: NetloomPeer = new NetloomPeer(loadNft, 'off');
  readonly compiled: NetloomPeer = new NetloomPeer(loadNft, 'eager');

  /** What the two do not do the same way; undefined for nothing. */
  async play(rules: string, frames: readonly Frame[]): Promise<string | undefined> {
    const peers = [this.interpreted, this.compiled];
    const [a, b] = await Promise.all(peers.map((p) => p.load(rules)));
    if (a !== b) return `loading: ${a} against ${b}`;
    if (a !== undefined) return 'refused';
    const show = (o: Outcome): string => `t0 [${o[0].join(' ')}] t1 [${o[1].join(' ')}]`;
    const [x, y] = await Promise.all(peers.map((p) => p.send(frames)));
    for (let i = 0; i < frames.length; i++)
      if (show(x[i]) !== show(y[i])) return `packet ${i}: interpreted ${show(x[i])}, compiled ${show(y[i])}`;
    const [s, t] = peers.map(state);
    if (s === t) return undefined;
    const [left, right] = [s.split('\n'), t.split('\n')];
    const at = left.findIndex((line, i) => line !== right[i]);
    return `state: interpreted ${left[at]}, compiled ${right[at]}`;
  }
}

async function shrink(both: Both, ruleset: GeneratedRuleset | string, frames: readonly Frame[]): Promise<string> {
  let current = ruleset;
  let packets = frames;
  const text = (r: GeneratedRuleset | string): string => (typeof r === 'string' ? r : render(r));
  const fails = async (r: GeneratedRuleset | string, f: readonly Frame[]): Promise<boolean> => {
    const found = await both.play(text(r), f);
    return found !== undefined && found !== 'refused';
  };
  for (let size = packets.length >> 1; size >= 1; size >>= 1) {
    for (let i = 0; i + size <= packets.length && packets.length > 1; ) {
      const fewer = packets.toSpliced(i, size);
      if (await fails(current, fewer)) packets = fewer;
      else i += size;
    }
  }
  for (let again = typeof current !== 'string'; again; ) {
    again = false;
    for (const candidate of smaller(current as GeneratedRuleset)) {
      if (!(await fails(candidate, packets))) continue;
      current = candidate;
      again = true;
      break;
    }
  }
  const why = await both.play(text(current), packets);
  const list = packets.map(([side, hex]) => `  into t${side}: ${hex}`).join('\n');
  return `ruleset:\n${text(current)}\npackets:\n${list}\n${why}`;
}

/** Runs the plan; stops after three disagreements. */
export async function bothWays(plan: BothPlan): Promise<BothReport> {
  const report: BothReport = {
    rulesets: 0,
    refused: 0,
    packets: 0,
    compiled: 0,
    interpreted: 0,
    reasons: new Map(),
    disagreements: [],
  };
  const random = new Random(plan.seed);
  let both = new Both();
  const texts = plan.texts ?? [];
  const total = plan.generated + texts.length;
  for (let i = 0; i < total; i++) {
    plan.progress?.(i, total);
    const own = random.fork();
    let ruleset: GeneratedRuleset | string = i < texts.length ? texts[i] : generateRich(own);
    const source = new PacketSource(own);
    const frames = Array.from({ length: plan.packetsPerRuleset }, () => source.next());
    let found = await both.play(typeof ruleset === 'string' ? ruleset : render(ruleset), frames);
    if (found === 'refused' && typeof ruleset !== 'string') {
      // Without the rules that contradict themselves.
      ruleset = loadable(both, ruleset);
      found = await both.play(render(ruleset), frames);
    }
    report.rulesets++;
    if (found === 'refused') {
      report.refused++;
      continue;
    }
    report.packets += frames.length;
    const { nftables } = both.compiled.host;
    for (const table of nftables.tables.values()) {
      for (const { reason, chain } of nftables.compiled.report(table)) {
        if (reason === '') report.compiled++;
        else {
          report.interpreted++;
          const key = reason.replaceAll(chain.name, '...');
          report.reasons.set(key, (report.reasons.get(key) ?? 0) + 1);
        }
      }
    }
    if (found === undefined) continue;
    report.disagreements.push(await shrink(both, ruleset, frames));
    both = new Both();
    if (report.disagreements.length >= 3) break;
  }
  return report;
}

function loadable(both: Both, ruleset: GeneratedRuleset): GeneratedRuleset {
  const { io } = both.interpreted;
  const chains = ruleset.chains.map((c) => ({ ...c, rules: [] as string[] }));
  for (let c = 0; c < chains.length; c++) {
    for (const rule of ruleset.chains[c].rules) {
      chains[c].rules.push(rule);
      if (loadNft(io, `flush ruleset\n${render({ ...ruleset, chains })}`) !== undefined) chains[c].rules.pop();
    }
  }
  return { ...ruleset, chains };
}
