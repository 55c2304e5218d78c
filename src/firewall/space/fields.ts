/**
 * The variables of header space: every bit of a packet and of what is known about it that rules can ask for, in a fixed order
 * of levels. Bits that rules ask for rarely get levels behind the others when they are first named.
 */
import type { Bdd, Node } from './bdd.ts';
import type { Vec } from './vector.ts';

/** How a field's values are written. */
export type FieldKind =
  | 'number'
  | 'hex'
  | 'ip'
  | 'ip6'
  | 'mac'
  | 'protocol'
  | 'port'
  | 'state'
  | 'direction'
  | 'iface'
  | 'flag'
  | 'bytes';

export type Field = {
  readonly name: string;
  /** Level of the most significant bit. */
  readonly first: number;
  readonly width: number;
  readonly kind: FieldKind;
  /** What an answer rests on when it mentions this field: it is not a property of the packet that a person can set. */
  readonly free?: string;
};

type Block = { readonly name: string; readonly width: number; readonly kind: FieldKind };

/** In order of levels. Bits of headers are in network order. */
const BLOCKS: readonly Block[] = [
  { name: 'ct state', width: 3, kind: 'state' },
  { name: 'ct direction', width: 1, kind: 'direction' },
  { name: 'first packet', width: 1, kind: 'flag' },
  { name: 'iifname', width: 10, kind: 'iface' },
  { name: 'oifname', width: 10, kind: 'iface' },
  { name: 'protocol', width: 8, kind: 'protocol' },
  { name: 'ip saddr', width: 32, kind: 'ip' },
  { name: 'ip daddr', width: 32, kind: 'ip' },
  { name: 'ip6 saddr', width: 128, kind: 'ip6' },
  { name: 'ip6 daddr', width: 128, kind: 'ip6' },
  { name: 'dport', width: 16, kind: 'port' },
  { name: 'sport', width: 16, kind: 'port' },
  // The transport header from its fifth byte on.
  { name: 'th', width: 2048 - 32, kind: 'bytes' },
  // The network header, as far as it has no field of its own above.
  { name: 'nh', width: 512, kind: 'bytes' },
  { name: 'll', width: 144, kind: 'bytes' },
  { name: 'mark', width: 32, kind: 'hex' },
  { name: 'ct mark', width: 32, kind: 'hex' },
  { name: 'ct status', width: 32, kind: 'hex' },
  { name: 'priority', width: 32, kind: 'hex' },
];

/** Levels from here on are no variables: flags and values that rules write and that are zero to begin with. */
export const WRITTEN = 0x40000000;

export class Fields {
  readonly #bdd: Bdd;
  readonly #list: Field[] = [];
  readonly #byName = new Map<string, Field>();
  readonly #written = new Map<string, Field>();
  #next = 0;
  #nextWritten: number = WRITTEN;

  constructor(bdd: Bdd) {
    this.#bdd = bdd;
    for (const block of BLOCKS) this.#add(block);
  }

  #add({ name, width, kind, free }: Block & { readonly free?: string }): Field {
    const field: Field = { name, first: this.#next, width, kind, ...(free !== undefined && { free }) };
    this.#next += width;
    this.#list.push(field);
    this.#byName.set(name, field);
    return field;
  }

  /** A field by name; made when it is new. */
  field(name: string, width = 1, kind: FieldKind = 'flag', free?: string): Field {
    return this.#byName.get(name) ?? this.#add({ name, width, kind, ...(free !== undefined && { free }) });
  }

  /** There is a field of that name already. */
  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** The variables of a field as a vector. */
  vec(name: string, width?: number, kind?: FieldKind, free?: string): Node[] {
    const field = this.field(name, width, kind, free);
    return Array.from({ length: field.width }, (_, i) => this.#bdd.variable(field.first + i));
  }

  /** The variable of a one-bit field. */
  flag(name: string, free?: string): Node {
    return this.vec(name, 1, 'flag', free)[0];
  }

  /** Levels of something that rules write (WRITTEN and up). */
  written(name: string, width = 1, kind: FieldKind = 'flag'): Field {
    const known = this.#written.get(name);
    if (known !== undefined) return known;
    const field: Field = { name, first: this.#nextWritten, width, kind };
    this.#nextWritten += width;
    this.#written.set(name, field);
    return field;
  }

  /** The field of a level. */
  at(level: number): Field {
    const list = level >= WRITTEN ? [...this.#written.values()] : this.#list;
    let low = 0;
    let high = list.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (list[middle].first <= level) low = middle;
      else high = middle - 1;
    }
    return list[low];
  }

  get all(): readonly Field[] {
    return this.#list;
  }
}

/** Level of bit `bit` of the transport header; -1 beyond what is modelled. */
export function transportLevel(fields: Fields, bit: number): number {
  if (bit < 16) return fields.field('sport').first + bit;
  if (bit < 32) return fields.field('dport').first + bit - 16;
  return bit < 2048 ? fields.field('th').first + bit - 32 : -1;
}

/** A rule's view of a changing packet: what each bit is now, where it is not what it came with. */
export class State {
  readonly bits: ReadonlyMap<number, Node>;
  readonly #bdd: Bdd;

  constructor(bdd: Bdd, bits: ReadonlyMap<number, Node> = new Map()) {
    this.#bdd = bdd;
    this.bits = bits;
  }

  /** What a bit is now. */
  bit(level: number): Node {
    return this.bits.get(level) ?? (level >= WRITTEN ? 0 : this.#bdd.variable(level));
  }

  vec(field: Field): Node[] {
    return Array.from({ length: field.width }, (_, i) => this.bit(field.first + i));
  }

  /** The state after `value` was written to consecutive bits where `cond` holds. */
  write(cond: Node, levels: readonly number[], value: Vec): State {
    if (cond === 0) return this;
    let bits: Map<number, Node> | undefined;
    levels.forEach((level, i) => {
      const old = this.bit(level);
      const now = this.#bdd.ite(cond, value[i], old);
      if (now === old) return;
      bits ??= new Map(this.bits);
      bits.set(level, now);
    });
    return bits === undefined ? this : new State(this.#bdd, bits);
  }

  set(cond: Node, field: Field, value: Vec): State {
    return this.write(
      cond,
      Array.from({ length: field.width }, (_, i) => field.first + i),
      value,
    );
  }
}
