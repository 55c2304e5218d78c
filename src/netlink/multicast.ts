/**
 * Multicast groups of one netlink protocol of one host: who listens to which, and telling them (netlink(7),
 * NETLINK_ADD_MEMBERSHIP). A notification that nobody hears is not even made.
 *
 *     const groups = new MulticastGroups();
 *     const leave = groups.join([NFNLGRP_NFTABLES], (m, group) => ...);
 *     groups.publish(NFNLGRP_NFTABLES, () => message);
 *     groups.whenHeard([NFNLGRP_CONNTRACK_NEW], () => startEvents()); // events cost something: only while heard
 */
import type { GroupListener, Message } from '../wire/netlink/message.ts';

type Watch = { readonly groups: ReadonlySet<number>; readonly start: () => () => void; stop: (() => void) | undefined };

export class MulticastGroups {
  readonly #listeners = new Map<GroupListener, ReadonlySet<number>[]>();
  readonly #watches: Watch[] = [];

  /** Asks for the notifications of groups; the function returned ends it. */
  join(groups: readonly number[], receive: GroupListener): () => void {
    const mine: ReadonlySet<number> = new Set(groups);
    this.#listeners.set(receive, [...(this.#listeners.get(receive) ?? []), mine]);
    this.#refresh();
    return () => {
      const left = this.#listeners.get(receive)?.filter((set) => set !== mine) ?? [];
      if (left.length > 0) this.#listeners.set(receive, left);
      else this.#listeners.delete(receive);
      this.#refresh();
    };
  }

  /** True when somebody listens to the group. */
  heard(group: number): boolean {
    for (const joined of this.#listeners.values()) if (joined.some((groups) => groups.has(group))) return true;
    return false;
  }

  /** Tells the listeners of a group; `make` is called at most once, and not at all when there are none. */
  publish(group: number, make: () => Message): void {
    let message: Message | undefined;
    // A listener may leave, or another join, while it is told.
    for (const [receive, joined] of [...this.#listeners]) {
      if (!joined.some((groups) => groups.has(group))) continue;
      message ??= make();
      receive(message, group);
    }
  }

  /** Runs `start` when the first listener to one of the groups joins, and what it returned when the last has left. */
  whenHeard(groups: readonly number[], start: () => () => void): void {
    this.#watches.push({ groups: new Set(groups), start, stop: undefined });
    this.#refresh();
  }

  #refresh(): void {
    for (const watch of this.#watches) {
      const heard = [...watch.groups].some((group) => this.heard(group));
      if (heard && watch.stop === undefined) watch.stop = watch.start();
      else if (!heard && watch.stop !== undefined) {
        watch.stop();
        watch.stop = undefined;
      }
    }
  }
}
