/**
 * Confirmation (`__nf_conntrack_confirm`): the first packet of a connection has passed all rules, and its entry goes into the
 * table, unless another packet of the same flow was faster.
 */
import { DROP } from '../../core/drop.ts';
import { IPCT_NEW, IPCT_RELATED, IPS_EXPECTED, IPS_FIXED_TIMEOUT } from '../../wire/uapi/ctnetlink.ts';
import { NF_ACCEPT, NF_DROP } from '../../wire/uapi/netfilter.ts';
import type { Conntrack } from './conntrack.ts';
import { type Conn, IPS_NAT_CLASH } from './entry.ts';
import { copyTuple, equal, newTuple, type Words, ZONE } from './tuple.ts';

const SECOND = 1e9;

export class Confirmation {
  readonly #ct: Conntrack;
  readonly #key: Words = newTuple();

  constructor(ct: Conntrack) {
    this.#ct = ct;
  }

  /** Makes the entry of a first packet real. */
  confirm(ct: Conn, p: number): number {
    const table = this.#ct;
    if (ct.dying) {
      table.stats.insertFailed++;
      return NF_DROP;
    }
    for (let dir = 0; dir < 2; dir++) {
      copyTuple(ct.words, ct.at(dir), this.#key, 0);
      const n = table.find(this.#key);
      if (n >= 0) return this.#clash(ct, table.entry(n), p, n);
      if (table.chainTooLong()) {
        table.stats.chainTooLong++;
        return this.#drop(p, DROP.NF_CONNTRACK_CHAINTOOLONG);
      }
    }
    table.insert(ct);
    table.event(ct, ct.status & IPS_EXPECTED ? IPCT_RELATED : IPCT_NEW);
    return NF_ACCEPT;
  }

  #drop(p: number, reason: number = DROP.NF_CONNTRACK_CLASH): number {
    this.#ct.stats.insertFailed++;
    this.#ct.stats.drop++;
    this.#ct.slab.setDropReason(p, reason);
    return NF_DROP;
  }

  /** Two packets of one flow met at confirmation, both with new entries: the later packet joins the first one's entry. */
  #clash(ct: Conn, other: Conn, p: number, n: number): number {
    const table = this.#ct;
    const same = (dir: number): boolean =>
      equal(ct.words, ct.at(dir), other.words, other.at(dir)) &&
      ct.words[ct.at(dir) + ZONE] === other.words[other.at(dir) + ZONE];
    if (table.tracker(ct).allowClash) {
      if (same(0) && same(1)) {
        table.stats.clashResolve++;
        table.slab.setNfct(p, other.index + 1, table.slab.nfctinfo(p));
        table.discard(ct);
        return NF_ACCEPT;
      }
      if ((n & 1) === 0 && same(0)) {
        // Same flow, two translations: the second answers in its own name, for a short while.
        copyTuple(ct.words, ct.at(1), this.#key, 0);
        if (table.find(this.#key) < 0) {
          ct.status |= IPS_NAT_CLASH | IPS_FIXED_TIMEOUT;
          ct.timeout = SECOND;
          table.insert(ct);
          table.stats.clashResolve++;
          return NF_ACCEPT;
        }
      }
    }
    return this.#drop(p);
  }
}
