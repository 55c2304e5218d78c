/**
 * The order of a chain's rules while a batch is being put together: rules may be named by their index, which counts those
 * that the batch has added before. Known rules have handles, new ones ids (NFTA_RULE_ID) until the kernel gives handles.
 */

/** A rule of the kernel by handle (bigint), or one of this batch by id (number). */
export type RuleName = bigint | number;

export class RuleOrder {
  #rules: RuleName[] | undefined;
  /** What was done before anybody asked for an index. */
  readonly #pending: { readonly name: RuleName; readonly insert: boolean; readonly beside: RuleName | undefined }[] =
    [];
  readonly #fetch: () => bigint[];

  /** `fetch` reads the handles that the chain has in the kernel. */
  constructor(fetch: () => bigint[]) {
    this.#fetch = fetch;
  }

  /** A rule was added behind, or inserted in front of, another, or of all. */
  add(name: RuleName, insert: boolean, beside: RuleName | undefined): void {
    if (this.#rules === undefined) this.#pending.push({ name, insert, beside });
    else this.#apply(this.#rules, name, insert, beside);
  }

  /** The rule of an index; undefined when there is none. */
  at(index: number): RuleName | undefined {
    if (this.#rules === undefined) {
      const rules: RuleName[] = this.#fetch();
      for (const { name, insert, beside } of this.#pending) this.#apply(rules, name, insert, beside);
      this.#rules = rules;
      this.#pending.length = 0;
    }
    return this.#rules[index];
  }

  #apply(rules: RuleName[], name: RuleName, insert: boolean, beside: RuleName | undefined): void {
    const at = beside === undefined ? -1 : rules.indexOf(beside);
    if (at >= 0) rules.splice(insert ? at : at + 1, 0, name);
    else if (insert) rules.unshift(name);
    else rules.push(name);
  }
}
