/**
 * A batch of changes, all of it or none. Changes are applied to the live objects as they come (no packet moves while a
 * batch is being read) and every one of them records how to take it back; an error runs those records backwards.
 * What others see from outside (hooks) changes at commit only.
 */
import type { Message } from '../../wire/netlink/message.ts';
import { NLM_F_ECHO } from '../../wire/uapi/netlink.ts';
import type { Undo } from './expr.ts';
import type { Chain, Rule } from './model.ts';

/** Takes an entry out of a map; undone, it is back at its place in the order that dumps show. */
export function takeOut<T>(map: Map<string, T>, key: string, undo: Undo): void {
  let at = 0;
  for (const k of map.keys()) {
    if (k === key) break;
    at++;
  }
  const value = map.get(key);
  if (value === undefined) return;
  map.delete(key);
  undo(() => {
    const behind = [...map].slice(at);
    for (const [k] of behind) map.delete(k);
    map.set(key, value);
    for (const [k, v] of behind) map.set(k, v);
  });
}

/** What notifications repeat of the request that caused them. */
export type Told = { readonly type: number; readonly seq: number; readonly flags: number };

/** One change to be told; `echo` when its request asked. */
export type Note = { readonly echo: boolean; readonly make: () => Message };

export class Transaction {
  readonly #undos: (() => void)[] = [];
  readonly #commits: (() => void)[] = [];
  /** What changed, in order, for those who listen (NFNLGRP_NFTABLES) or asked (NLM_F_ECHO); made after the commit. */
  readonly notes: Note[] = [];
  /** The request that is being carried out. */
  request: Told = { type: 0, seq: 0, flags: 0 };
  readonly #heard: boolean;
  /** Something in the batch can jump or is bound to certain hooks: the chains are to be checked before commit. */
  jumps = false;
  /** Rule lists that this batch has made its own. */
  readonly rules: Map<Chain, Rule[]> = new Map();

  /** `heard`: somebody listens, so that every change is told. */
  constructor(heard = false) {
    this.#heard = heard;
  }

  /** Notes a change; `make` writes its message when all is committed. */
  note(make: (request: Told) => Message): void {
    const { request } = this;
    const echo = (request.flags & NLM_F_ECHO) !== 0;
    if (echo || this.#heard) this.notes.push({ echo, make: () => make(request) });
  }

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
