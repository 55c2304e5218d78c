/**
 * What a question over header space works with: the diagrams, the variables, the interfaces, the outcomes by number, and the
 * variables that stand for what is not modelled.
 */
import { Bdd, type BddOptions, type Node } from './bdd.ts';
import { type FieldKind, Fields, State } from './fields.ts';
import { Interfaces } from './ifaces.ts';
import { Reader } from './read.ts';
import type { Side } from './side.ts';
import type { Vec } from './vector.ts';

const FIRST_LABEL = 5;
const FIRST_LOCAL = 1_000_000;

export class Space {
  readonly bdd: Bdd;
  readonly fields: Fields;
  readonly reader: Reader = new Reader();
  readonly ifaces: Interfaces;
  /** No rule decided. */
  readonly none: Node;
  /** Back to the calling chain. */
  readonly ret: Node;
  readonly accept: Node;
  readonly drop: Node;
  readonly #labels: string[] = ['drop'];
  readonly #interned = new Map<string, number>();
  readonly #names = new Map<string, string>();
  readonly #taken = new Map<string, number>();

  constructor(sides: readonly Side[], options: BddOptions = {}) {
    this.bdd = new Bdd(options);
    this.fields = new Fields(this.bdd);
    this.ifaces = new Interfaces(this.bdd, this.fields, sides, this.reader);
    this.none = this.bdd.terminal(2);
    this.ret = this.bdd.terminal(3);
    this.accept = this.bdd.terminal(4);
    this.drop = this.bdd.terminal(FIRST_LABEL);
  }

  /** The state of a packet that nothing has changed. */
  fresh(): State {
    return new State(this.bdd);
  }

  /** The terminal of a final outcome ("drop", "reject with tcp reset", "queue 3"). */
  outcome(label: string): Node {
    let at = this.#labels.indexOf(label);
    if (at < 0) at = this.#labels.push(label) - 1;
    return this.bdd.terminal(FIRST_LABEL + at);
  }

  /** The words of an outcome. */
  label(terminal: Node): string {
    if (terminal === this.accept) return 'accept';
    return this.#labels[this.bdd.value(terminal) - FIRST_LABEL] ?? 'no verdict';
  }

  /** A terminal for choices inside of one rule. */
  local(n: number): Node {
    return this.bdd.terminal(FIRST_LOCAL + n);
  }

  /** A short number for a text or a list of nodes. */
  intern(what: string | Vec): number {
    const key = typeof what === 'string' ? what : what.join(' ');
    let n = this.#interned.get(key);
    if (n === undefined) {
      n = this.#interned.size;
      this.#interned.set(key, n);
    }
    return n;
  }

  /**
   * Variables for something that is not modelled. The same `key` gives the same variables: what it says must determine the value,
   * given the packet. `label` is what people read, `why` what an answer rests on when it mentions it.
   */
  opaque(
    key: string,
    label: string,
    width: number,
    why: string,
    kind: FieldKind = width === 1 ? 'flag' : 'hex',
  ): Node[] {
    let name = this.#names.get(key);
    if (name === undefined) {
      const n = (this.#taken.get(label) ?? 0) + 1;
      this.#taken.set(label, n);
      name = n === 1 ? label : `${label} (${n})`;
      this.#names.set(key, name);
    }
    return this.fields.vec(name, width, kind, why);
  }

  opaqueFlag(key: string, label: string, why: string): Node {
    return this.opaque(key, label, 1, why)[0];
  }

  /** A short name for everything that was changed about a packet. */
  stateKey(state: State): number {
    return this.intern(
      [...state.bits.entries()]
        .sort((a, b) => a[0] - b[0])
        .map((pair) => pair.join(':'))
        .join(','),
    );
  }
}
