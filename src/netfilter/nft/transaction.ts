/**
 * A batch of changes, all of it or none. Changes are applied to the live objects as they come (no packet moves while a
 * batch is being read) and every one of them records how to take it back; an error runs those records backwards.
 * What others see from outside (hooks) changes at commit only.
 */
import type { Message } from '../../wire/netlink/message.ts';
import type { Undo } from './expr.ts';
import type { Chain, Rule } from './model.ts';

export class Transaction {
  readonly #undos: (() => void)[] = [];
  readonly #commits: (() => void)[] = [];
  /** Notifications for requests that asked to be told (NLM_F_ECHO). */
  readonly echoes: Message[] = [];
  /** Something in the batch can jump or is bound to certain hooks: the chains are to be checked before commit. */
  jumps = false;
  /** Rule lists that this batch has made its own. */
  readonly rules: Map<Chain, Rule[]> = new Map();

  /** Records how to take back a change just made. */
  readonly undo: Undo = (step) => {
    this.#undos.push(step);
  };

  /** Something to do when the batch is through. */
  onCommit(step: () => void): void {
    this.#commits.push(step);
  }

  commit(): void {
    for (const step of this.#commits) step();
  }

  abort(): void {
    for (let i = this.#undos.length - 1; i >= 0; i--) this.#undos[i]();
  }
}
