/**
 * Counting connections (nf_conncount): a list of tuples, of which those count whose connection still lives. Used by nft's
 * `ct count` and the connlimit match.
 */
import { TCP_CONNTRACK_CLOSE, TCP_CONNTRACK_TIME_WAIT } from '../../wire/uapi/ctnetlink.ts';
import type { Conntrack } from './conntrack.ts';
import type { Conn } from './entry.ts';
import { addressesFromHeader, locate, newLocated, packetEnd } from './packet.ts';
import { trackerFor } from './protocols.ts';
import { copyTuple, equal, newTuple, PORTS, type Words, ZONE } from './tuple.ts';

type Counted = { readonly tuple: Words; readonly addedNs: number };

export class ConnCount {
  readonly #ct: Conntrack;
  #list: Counted[] = [];

  constructor(ct: Conntrack) {
    this.#ct = ct;
  }

  /** Adds the packet's connection (once) and counts the living; -1 when the packet has no tuple. */
  add(p: number, pf: number): number {
    const t = newTuple();
    const entry = this.#ct.of(p);
    if (entry !== undefined && !entry.template) copyTuple(entry.words, entry.at(0), t, 0);
    else if (!this.#read(p, pf, t)) return -1;
    const now = this.#ct.world.now;
    let known = false;
    this.#list = this.#list.filter((c) => {
      const same = equal(c.tuple, 0, t, 0) && c.tuple[ZONE] === t[ZONE];
      if (same) {
        known = true;
        return true;
      }
      const n = this.#ct.find(c.tuple);
      // Not confirmed yet: its packet may still be on its way.
      if (n < 0) return c.addedNs === now;
      return !closed(this.#ct.entry(n));
    });
    if (!known) this.#list.push({ tuple: t, addedNs: now });
    return this.#list.length;
  }

  #read(p: number, pf: number, t: Words): boolean {
    const { slab } = this.#ct;
    const found = newLocated();
    if (!locate(slab.dv, pf, slab.network(p), slab.end(p), found)) return false;
    addressesFromHeader(slab.dv, pf, slab.network(p), found.protocol, t);
    return trackerFor(found.protocol).ports(slab.dv, found.at, packetEnd(slab, p, pf), t, PORTS);
  }
}

/** A TCP connection in TIME_WAIT or CLOSE does not count any more. */
function closed(ct: Conn): boolean {
  return ct.tcp !== undefined && (ct.tcp.state === TCP_CONNTRACK_TIME_WAIT || ct.tcp.state === TCP_CONNTRACK_CLOSE);
}
