/**
 * Sets of concatenated ranges (the kernel's pipapo type): a key matches an element when every field lies in the element's
 * range of that field. Elements whose fields are all single values are found through an index; the others one by one, in
 * the order they came, as the first match wins.
 */
import { KeyIndex } from './key-index.ts';
import type { Element, SetBackend } from './set.ts';

export class ConcatIntervalBackend implements SetBackend {
  readonly #fields: readonly number[];
  readonly #exact: KeyIndex;
  readonly #exactElements: (Element | undefined)[] = [];
  #ranges: Element[] = [];

  /** @param fields lengths of the fields in bytes; each field takes whole 4-byte registers */
  constructor(fields: readonly number[], keyLength: number) {
    this.#fields = fields;
    this.#exact = new KeyIndex(keyLength);
  }

  get size(): number {
    return this.#exact.size + this.#ranges.length;
  }

  #inside(element: Element, u8: Uint8Array, at: number): boolean {
    const low = element.key;
    const high = element.keyEnd ?? element.key;
    let offset = 0;
    for (const length of this.#fields) {
      let above = false;
      let below = false;
      for (let i = offset; i < offset + length; i++) {
        const byte = u8[at + i];
        if (!above && byte !== low[i]) {
          if (byte < low[i]) return false;
          above = true;
        }
        if (!below && byte !== high[i]) {
          if (byte > high[i]) return false;
          below = true;
        }
        if (above && below) break;
      }
      offset += (length + 3) & ~3;
    }
    return true;
  }

  #match(u8: Uint8Array, at: number, now: number): Element | undefined {
    const entry = this.#exact.find(u8, at);
    if (entry >= 0 && this.#exactElements[entry]!.expires > now) return this.#exactElements[entry];
    for (const element of this.#ranges) {
      if (element.expires > now && this.#inside(element, u8, at)) return element;
    }
    return undefined;
  }

  lookup(u8: Uint8Array, at: number, now: number): Element | undefined {
    return this.#match(u8, at, now);
  }

  #isExact(element: Pick<Element, 'key' | 'keyEnd'>): boolean {
    return element.keyEnd === undefined || same(element.key, element.keyEnd);
  }

  insert(element: Element, now: number): Element | 'overlap' | undefined {
    for (const key of [element.key, element.keyEnd ?? element.key]) {
      const hit = this.#match(key, 0, now);
      if (hit === undefined) continue;
      const identical = same(hit.key, element.key) && same(hit.keyEnd ?? hit.key, element.keyEnd ?? element.key);
      return identical ? hit : 'overlap';
    }
    if (this.#isExact(element)) {
      const stale = this.#exact.find(element.key);
      const entry = stale >= 0 ? stale : this.#exact.add(element.key);
      this.#exactElements[entry] = element;
    } else this.#ranges.push(element);
    return undefined;
  }

  find(element: Pick<Element, 'key' | 'keyEnd' | 'flags'>): Element | undefined {
    if (this.#isExact(element)) {
      const entry = this.#exact.find(element.key);
      return entry < 0 ? undefined : this.#exactElements[entry];
    }
    return this.#ranges.find((e) => same(e.key, element.key) && same(e.keyEnd!, element.keyEnd!));
  }

  get(element: Pick<Element, 'key' | 'keyEnd' | 'flags'>, now: number): Element | undefined {
    return this.find(element) ?? this.#match(element.key, 0, now);
  }

  remove(element: Element): void {
    const entry = this.#exact.find(element.key);
    if (entry >= 0 && this.#exactElements[entry] === element) {
      this.#exact.remove(element.key);
      this.#exactElements[entry] = undefined;
      return;
    }
    const at = this.#ranges.indexOf(element);
    if (at >= 0) this.#ranges = this.#ranges.toSpliced(at, 1);
  }

  *elements(): Iterable<Element> {
    for (const element of this.#exactElements) if (element) yield element;
    yield* this.#ranges;
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
