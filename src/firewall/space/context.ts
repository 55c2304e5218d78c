/** Where rules are evaluated: the place on a packet's way, and one rule's run over all packets at once. */
import type { Chain } from '../../netfilter/nft/model.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';
import { FALSE, type Node } from './bdd.ts';
import type { State } from './fields.ts';
import type { Resources } from './resources.ts';
import type { Side } from './side.ts';
import type { Space } from './space.ts';
import type { Vec } from './vector.ts';

/** The way of packets: through the host, to it, or from it. */
export type Path = 'forward' | 'input' | 'output';

/** The base chain that runs, and what is known of packets there. */
export type Place = {
  readonly space: Space;
  readonly side: Side;
  readonly resources: Resources;
  /** Packets that the answer is about; of others nothing need be right. */
  readonly care: Node;
  /** "ip forward": for keys and texts. */
  readonly world: string;
  readonly path: Path;
  /** NFPROTO_* of the hook. */
  readonly pf: number;
  /** NFPROTO_* of what the frame carries, below IP; 0 for other protocols. */
  readonly l3: number;
  readonly hook: number;
  readonly base: Chain;
  /** There is an interface that the packet came in by, or goes out by. */
  readonly iif: boolean;
  readonly oif: boolean;
  /** Connection tracking has seen the packet; the state it saw it in. */
  readonly tracked: State | undefined;
};

export function isIp(place: Place): boolean {
  return place.l3 === NFPROTO_IPV4 || place.l3 === NFPROTO_IPV6;
}

/** One rule over all packets: registers, where it still matches, what it decided. */
export class RuleRun {
  readonly place: Place;
  readonly space: Space;
  readonly chain: Chain;
  /** Packets that get to the rule. */
  readonly active: Node;
  state: State;
  /** Packets that the rule matched so far. */
  match: Node;
  decision: Node;
  readonly #registers: Int32Array = new Int32Array(640).fill(-1);

  constructor(place: Place, chain: Chain, state: State, active: Node) {
    this.place = place;
    this.space = place.space;
    this.chain = chain;
    this.state = state;
    this.active = active;
    this.decision = place.space.none;
    this.match = place.care;
  }

  /** The rule goes on for these packets only. */
  require(cond: Node): void {
    this.match = this.space.bdd.and(this.match, cond);
  }

  /** Packets that get here: what a write applies to. */
  here(): Node {
    return this.space.bdd.and(this.active, this.match);
  }

  /** Decides, for the packets that matched; `decision` may leave some undecided, for which the rule goes on. */
  decide(decision: Node): void {
    const { bdd, none } = this.space;
    this.decision = bdd.override(this.decision, bdd.ite(this.match, decision, none), none);
    this.match = bdd.and(this.match, bdd.is(decision, none));
  }

  load(at: number, vec: Vec): void {
    vec.forEach((bit, i) => {
      this.#registers[at * 8 + i] = bit;
    });
    // What is left of the last register reads as zero.
    for (let i = vec.length; i % 32 !== 0; i++) this.#registers[at * 8 + i] = FALSE;
  }

  /** A register's bits. Nothing that a tool makes reads what no expression has written; such bits are unknown. */
  read(at: number, bytes: number): Node[] {
    return Array.from({ length: bytes * 8 }, (_, i) => {
      const bit = this.#registers[at * 8 + i];
      if (bit >= 0) return bit;
      return this.space.opaqueFlag(
        `register ${this.place.side.name} ${this.space.intern(this.chain.name)} ${at * 8 + i}`,
        'a register that nothing wrote',
        'a rule reads a register that nothing wrote',
      );
    });
  }
}
