/**
 * Exact-match sets (the kernel's hash, rhashtable and bitmap types): one index, elements beside it.
 */
import { KeyIndex } from './key-index.ts';
import type { Element, SetBackend, SetListener } from './set.ts';

export class HashBackend implements SetBackend {
  readonly #index: KeyIndex;
  readonly #elements: (Element | undefined)[] = [];
  /** Is told of every change. */
  listener: SetListener | undefined = undefined;

  constructor(keyLength: number) {
    this.#index = new KeyIndex(keyLength);
  }

  get size(): number {
    return this.#index.size;
  }

  lookup(u8: Uint8Array, at: number, now: number): Element | undefined {
    const entry = this.#index.find(u8, at);
    if (entry < 0) return undefined;
    const element = this.#elements[entry]!;
    return element.expires > now ? element : undefined;
  }

  insert(element: Element, now: number): Element | undefined {
    const entry = this.#index.find(element.key);
    if (entry >= 0) {
      const existing = this.#elements[entry]!;
      if (existing.expires > now) return existing;
      this.#elements[entry] = element;
      this.listener?.inserted(element);
      return undefined;
    }
    this.#elements[this.#index.add(element.key)] = element;
    this.listener?.inserted(element);
    return undefined;
  }

  find(element: Pick<Element, 'key'>): Element | undefined {
    const entry = this.#index.find(element.key);
    return entry < 0 ? undefined : this.#elements[entry];
  }

  get(element: Pick<Element, 'key'>): Element | undefined {
    return this.find(element);
  }

  remove(element: Element): void {
    const entry = this.#index.find(element.key);
    if (entry < 0 || this.#elements[entry] !== element) return;
    this.#index.remove(element.key);
    this.#elements[entry] = undefined;
    this.listener?.removed(element);
  }

  *elements(): Iterable<Element> {
    for (const element of this.#elements) if (element) yield element;
  }
}
