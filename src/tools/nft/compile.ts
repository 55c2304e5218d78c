/**
 * One rule's text to kernel expressions, without a kernel: what the conformance suites and other programs use that want
 * bytecode only.
 */
import type { Command, Family, Rule, SetExpr } from './ast.ts';
import type { Names, Release } from './datatype.ts';
import { kernelElements } from './elements.ts';
import { Context, type World } from './eval/context.ts';
import { declareSet } from './eval/declare.ts';
import { evaluate } from './eval/expression.ts';
import { evaluateElements } from './eval/set.ts';
import { evaluateRule } from './eval/statement.ts';
import type { KernelExpr } from './expr/types.ts';
import { linearizeRule } from './linearize.ts';
import { parse } from './parser/index.ts';
import { OBJECT_TYPES } from './parser/object.ts';
import { type CompiledSet, relistRule, relistSet } from './relist.ts';
import type { SetInfo } from './set-info.ts';
import { NftError } from './source.ts';
import type { SetEntry } from './views.ts';

export type CompiledRule = {
  readonly rule: Rule;
  readonly exprs: readonly KernelExpr[];
  /** The anonymous sets and meters it brings along. */
  readonly sets: readonly CompiledSet[];
};

/** Sets and objects that rules may refer to. */
export class Workspace implements World {
  readonly names: Names;
  readonly #sets = new Map<string, SetInfo>();
  readonly #objects = new Set<string>();
  #pending: SetInfo[] = [];
  #id = 0;

  constructor(names: Names = {}) {
    this.names = names;
  }

  set(family: Family, table: string, name: string): SetInfo | undefined {
    return this.#sets.get(`${family} ${table} ${name}`);
  }

  hasObject(family: Family, table: string, type: number, name: string): boolean {
    return this.#objects.has(`${family} ${table} ${type} ${name}`);
  }

  nextSetId(): number {
    return ++this.#id;
  }

  addAnonymous(set: SetInfo): void {
    this.#pending.push(set);
  }

  addMeter(set: SetInfo): void {
    this.#pending.push(set);
  }

  /** Runs one command: a set, its elements, an object, or a rule, which comes back compiled. Throws NftError. */
  run(text: string): CompiledRule | undefined {
    const { commands, errors } = parse({ name: '<cmdline>', text }, { include: () => undefined });
    if (errors.length > 0) throw errors[0];
    let compiled: CompiledRule | undefined;
    for (const command of commands) compiled = this.command(command) ?? compiled;
    return compiled;
  }

  /** The rule as `nft list` shows it once it is in the kernel. */
  listed({ rule, exprs, sets }: CompiledRule, release?: Release): Rule {
    const find = (name: string): SetEntry | undefined => {
      const set = this.set(rule.family, rule.table, name);
      return set && relistSet(set, []);
    };
    return relistRule(rule, exprs, sets, find, release);
  }

  /** Runs a command that has been read. Throws NftError. */
  command(command: Command): CompiledRule | undefined {
    const { object } = command;
    switch (object.kind) {
      case 'setdecl': {
        const set = declareSet(object, this);
        this.#sets.set(`${object.family} ${object.table} ${object.name}`, set);
        return undefined;
      }
      case 'elements': {
        const set = this.set(object.family, object.table, object.set);
        if (set === undefined) throw new NftError(object.loc, 'No such file or directory');
        const ctx = new Context(object.family, object.table, this);
        const done = evaluateElements(ctx, set, object.elements as SetExpr, evaluate);
        kernelElements(set, done.elements, set.empty);
        set.empty = false;
        return undefined;
      }
      case 'object':
        this.#objects.add(`${object.family} ${object.table} ${OBJECT_TYPES[object.spec.type]} ${object.name}`);
        return undefined;
      case 'rule': {
        this.#pending = [];
        const rule = evaluateRule(object, this);
        const exprs = linearizeRule(rule);
        const sets = this.#pending.map((set) => ({
          set,
          elements: set.elements === undefined ? [] : kernelElements(set, set.elements.elements, true),
        }));
        return { rule, exprs, sets };
      }
      default:
        return undefined;
    }
  }
}
