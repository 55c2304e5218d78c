/**
 * Interfaces as far as rules can tell them apart: every name that a ruleset mentions, one name for each prefix ("eth*") that
 * stands for all other names with it, and one for every other interface. A packet's interface is the number of its
 * class; names, indices and everything else about the interface are functions of it.
 */
import * as U from '../../wire/uapi/nf-tables.ts';
import { type Bdd, FALSE, type Node, TRUE } from './bdd.ts';
import type { Fields } from './fields.ts';
import type { Reader } from './read.ts';
import { chainsOf, type Side } from './side.ts';
import { number, type Span, spans } from './vector.ts';

const IFNAMSIZ = 16;
const MAX_CLASSES = 1000;

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/** A name as rules compare it: 16 bytes filled with NUL. */
function padded(name: string): Uint8Array {
  const out = new Uint8Array(IFNAMSIZ);
  out.set(utf8.encode(name).subarray(0, IFNAMSIZ - 1));
  return out;
}

/** Names and prefixes in the bytes that a name is compared with. */
function mentioned(bytes: Uint8Array, names: Set<string>, prefixes: Set<string>): void {
  const end = bytes.indexOf(0);
  const text = fromUtf8.decode(end < 0 ? bytes : bytes.subarray(0, end));
  // No interface can be called that: no packet matches.
  if (!/^[\x21-\x7e]*$/.test(text) || text.includes('/')) return;
  if (end >= 0 || bytes.length >= IFNAMSIZ) names.add(text);
  else prefixes.add(text);
}

/** What the rules of a side say about interfaces. */
function collect(side: Side, reader: Reader, names: Set<string>, prefixes: Set<string>): void {
  const index = (bytes: Uint8Array): void => {
    if (bytes.length < 4) return;
    const name = side.host.deviceName(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true));
    if (name !== '') names.add(name);
  };
  for (const chain of chainsOf(side)) {
    for (const device of chain.base?.devices ?? []) names.add(device);
    for (const rule of chain.rules) {
      const nameAt = new Set<number>();
      const indexAt = new Set<number>();
      for (const expr of rule.exprs) {
        if (expr.name === 'payload' || expr.name === 'immediate') {
          // Whatever was in the register is gone.
          const to = reader.read(expr).register(expr.name === 'payload' ? U.NFTA_PAYLOAD_DREG : U.NFTA_IMMEDIATE_DREG);
          nameAt.delete(to);
          indexAt.delete(to);
        } else if (expr.name === 'meta') {
          const data = reader.read(expr);
          const key = data.u32(U.NFTA_META_KEY);
          const to = data.register(U.NFTA_META_DREG);
          if (to < 0) continue;
          nameAt.delete(to);
          indexAt.delete(to);
          if ([U.NFT_META_IIFNAME, U.NFT_META_OIFNAME, U.NFT_META_SDIFNAME].includes(key)) nameAt.add(to);
          if ([U.NFT_META_IIF, U.NFT_META_OIF, U.NFT_META_SDIF].includes(key)) indexAt.add(to);
        } else if (expr.name === 'cmp') {
          const data = reader.read(expr);
          const from = data.register(U.NFTA_CMP_SREG);
          if (nameAt.has(from)) mentioned(data.value(U.NFTA_CMP_DATA), names, prefixes);
          if (indexAt.has(from)) index(data.value(U.NFTA_CMP_DATA));
        } else if (expr.name === 'lookup') {
          const data = reader.read(expr);
          const from = data.register(U.NFTA_LOOKUP_SREG);
          const set = chain.table.sets.get(data.text(U.NFTA_LOOKUP_SET));
          if (set === undefined) continue;
          for (const element of set.backend.elements())
            for (const key of [element.key, element.keyEnd]) {
              if (key === undefined) continue;
              for (const at of nameAt)
                if (at >= from && at < from + set.keyLength) {
                  const bytes = key.subarray(at - from, at - from + IFNAMSIZ);
                  mentioned(bytes, names, prefixes);
                  // A range of names ("eth*" in an interval set): its ends are prefixes as well.
                  if (set.flags & U.NFT_SET_INTERVAL) prefixes.add(fromUtf8.decode(bytes).replace(/[\0\xff].*$/s, ''));
                }
              for (const at of indexAt)
                if (at >= from && at < from + set.keyLength) index(key.subarray(at - from, at - from + 4));
            }
        } else if (expr.name === 'match') {
          const data = reader.read(expr);
          if (data.text(U.NFTA_MATCH_NAME) !== 'physdev') continue;
        }
      }
    }
  }
}

/** A name that has the prefix and that nobody mentions. */
function fresh(prefix: string, names: ReadonlySet<string>, prefixes: ReadonlySet<string>): string {
  const longer = [...prefixes].filter((p) => p.length > prefix.length && p.startsWith(prefix));
  for (let i = 0; i < 2000; i++) {
    const name = `${prefix}${i}`;
    if (name.length < IFNAMSIZ && !names.has(name) && !longer.some((p) => name.startsWith(p))) return name;
  }
  return prefix;
}

export class Interfaces {
  /** Names by class. */
  readonly names: readonly string[];
  /** Classes that stand for other names too: how they are written. */
  readonly shown: readonly string[];
  readonly #bdd: Bdd;
  readonly #fields: Fields;
  readonly #vecs = new Map<string, Node[]>();

  constructor(bdd: Bdd, fields: Fields, sides: readonly Side[], reader: Reader) {
    const names = new Set<string>();
    const prefixes = new Set<string>();
    for (const side of sides) collect(side, reader, names, prefixes);
    names.delete('');
    prefixes.delete('');
    const list = [...names].sort().slice(0, MAX_CLASSES);
    const shown = [...list];
    for (const prefix of prefixes) {
      list.push(fresh(prefix, names, prefixes));
      shown.push(`${prefix}*`);
    }
    list.push(fresh('other', names, prefixes));
    shown.push('other');
    this.names = list;
    this.shown = shown;
    this.#bdd = bdd;
    this.#fields = fields;
  }

  /** The variables of the class. */
  #classes(which: 'iifname' | 'oifname'): Node[] {
    return this.#fields.vec(which);
  }

  /** Classes are no more than there are. */
  domain(which: 'iifname' | 'oifname'): Node {
    const classes = this.#classes(which);
    const zero = spanOf(0, classes.length).low;
    const last = spanOf(this.names.length - 1, classes.length).low;
    return spans(this.#bdd, classes, [{ low: zero, high: last, value: TRUE }], FALSE);
  }

  /** A value that depends on the interface: bit vectors by name. */
  lookup(which: 'iifname' | 'oifname', what: string, width: number, of: (name: string) => Uint8Array): Node[] {
    const key = `${which} ${what}`;
    const known = this.#vecs.get(key);
    if (known !== undefined) return known;
    const classes = this.#classes(which);
    const values = this.names.map(of);
    const out = Array.from({ length: width }, (_, bit): Node => {
      const list: Span[] = [];
      values.forEach((value, n) => {
        if (((value[bit >> 3] >> (7 - (bit & 7))) & 1) === 1) list.push(spanOf(n, classes.length));
      });
      return spans(this.#bdd, classes, list, FALSE);
    });
    this.#vecs.set(key, out);
    return out;
  }

  /** The name as rules read it. */
  name(which: 'iifname' | 'oifname'): Node[] {
    return this.lookup(which, 'name', IFNAMSIZ * 8, padded);
  }

  /** Where the interface is one of these. */
  among(which: 'iifname' | 'oifname', names: readonly string[]): Node {
    const classes = this.#classes(which);
    const list = this.names.flatMap((name, n) => (names.includes(name) ? [spanOf(n, classes.length)] : []));
    return spans(this.#bdd, classes, list, FALSE);
  }
}

function spanOf(n: number, width: number): Span {
  const bits = number(n, width);
  const bytes = new Uint8Array(Math.ceil(width / 8));
  bits.forEach((bit, i) => {
    if (bit === TRUE) bytes[i >> 3] |= 0x80 >> (i & 7);
  });
  return { low: bytes, high: bytes, value: TRUE };
}
