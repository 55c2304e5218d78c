/** Who hears of what happens to connections (`nf_conntrack_ecache`): events gather on an entry and are told together. */
import { IPCT_DESTROY } from '../../wire/uapi/ctnetlink.ts';
import type { Conn } from './entry.ts';

/** Called with an entry and the IPCT_* events (as bits) that happened to it. */
export type ConntrackListener = (ct: Conn, events: number) => void;

export class Events {
  /** Told of every event; no events are kept while there is none. */
  readonly listeners: Set<ConntrackListener> = new Set();

  /** Notes an event (IPCT_*) of an entry. */
  note(ct: Conn, event: number): void {
    if (this.listeners.size > 0) ct.pendingEvents |= 1 << event;
  }

  /** Tells what has gathered. */
  deliver(ct: Conn): void {
    const events = ct.pendingEvents & ct.eventMask;
    ct.pendingEvents = 0;
    if (events === 0 || ct.dying) return;
    for (const fn of this.listeners) fn(ct, events);
  }

  destroyed(ct: Conn): void {
    if (ct.eventMask & (1 << IPCT_DESTROY)) for (const fn of this.listeners) fn(ct, 1 << IPCT_DESTROY);
  }
}
