/**
 * nfnetlink: the NETLINK_NETFILTER protocol of one host. Requests go to their subsystem; nf_tables changes come in
 * batches between NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END and are carried out together or not at all.
 * See linux/netfilter/nfnetlink.h and netlink(7).
 *
 *     nfgenmsg, in front of the attributes:  | family 1 | version 1 | res_id 2 (big-endian) |
 */
import { EINVAL, EOPNOTSUPP, ERANGE, KernelError } from '../core/errno.ts';
import { answer, change, generationMessage, isChange } from '../netfilter/nft/api/dispatch.ts';
import type { Nftables, Request } from '../netfilter/nft/nftables.ts';
import type { Transaction } from '../netfilter/nft/transaction.ts';
import { attrMap, getBeU32 } from '../wire/netlink/attr.ts';
import { type Message, parseMessages } from '../wire/netlink/message.ts';
import { NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST } from '../wire/uapi/netlink.ts';
import {
  NFNL_MSG_BATCH_BEGIN,
  NFNL_MSG_BATCH_END,
  NFNL_SUBSYS_NFTABLES,
  NFNLGRP_NFTABLES,
} from '../wire/uapi/nfnetlink.ts';
import { ackMessage, doneMessage } from './ack.ts';
import { MulticastGroups } from './multicast.ts';

const NFGENMSG_LENGTH = 4;
const NFNL_BATCH_GENID = 1;
const ERESTART = 85;

/** A subsystem beside nf_tables: answers one message; throws KernelError. */
export type Subsystem = (m: Message) => Iterable<Message>;

/** push(...) takes its values over the stack, which a dump or a batch of 100,000 rules overflows. */
function append(out: Message[], more: Iterable<Message>): void {
  for (const m of more) out.push(m);
}

/** Reads the header and attributes behind it. */
export function parseRequest(m: Message): Request {
  if (m.payload.length < NFGENMSG_LENGTH) throw new KernelError(EINVAL);
  return {
    type: m.type & 255,
    flags: m.flags,
    seq: m.seq,
    family: m.payload[0],
    attrs: attrMap(m.payload, NFGENMSG_LENGTH),
  };
}

export class Nfnetlink {
  readonly #nft: Nftables;
  readonly #subsystems: ReadonlyMap<number, Subsystem>;
  /** NFNLGRP_*. */
  readonly groups: MulticastGroups;

  constructor(
    nft: Nftables,
    subsystems: ReadonlyMap<number, Subsystem> = new Map(),
    groups: MulticastGroups = new MulticastGroups(),
  ) {
    this.#nft = nft;
    this.#subsystems = subsystems;
    this.groups = groups;
  }

  /** Takes one datagram; the answers, in order. Never throws. */
  handle(datagram: Uint8Array): Message[] {
    const messages = parseMessages(datagram);
    const out: Message[] = [];
    for (let i = 0; i < messages.length; i++) {
      const m = messages[i];
      if (m.type === NFNL_MSG_BATCH_BEGIN) {
        const end = messages.findIndex((e, at) => at > i && e.type === NFNL_MSG_BATCH_END);
        const last = end < 0 ? messages.length : end;
        append(out, this.#batch(m, messages.slice(i + 1, last), end < 0 ? undefined : messages[end]));
        i = last;
      } else if (m.flags & NLM_F_REQUEST) append(out, this.#single(m));
    }
    return out;
  }

  #single(m: Message): Message[] {
    try {
      const subsystem = m.type >> 8;
      const out: Message[] = [];
      if (subsystem === NFNL_SUBSYS_NFTABLES) {
        const req = parseRequest(m);
        if (isChange(req.type)) throw new KernelError(EINVAL);
        append(out, answer(this.#nft, req));
      } else {
        const handler = this.#subsystems.get(subsystem);
        if (handler === undefined) throw new KernelError(EINVAL, `netloom has no nfnetlink subsystem ${subsystem}`);
        append(out, handler(m));
      }
      if ((m.flags & NLM_F_DUMP) === NLM_F_DUMP) out.push(doneMessage(m));
      else if (m.flags & NLM_F_ACK) out.push(ackMessage(m, undefined));
      return out;
    } catch (error) {
      return [ackMessage(m, error)];
    }
  }

  #batch(begin: Message, messages: readonly Message[], end: Message | undefined): Message[] {
    const generation =
      begin.payload.length >= NFGENMSG_LENGTH
        ? attrMap(begin.payload, NFGENMSG_LENGTH).get(NFNL_BATCH_GENID)
        : undefined;
    if (generation && getBeU32(generation.payload) !== this.#nft.generation) {
      return [ackMessage(begin, new KernelError(ERESTART))];
    }
    const resource = begin.payload.length >= NFGENMSG_LENGTH ? (begin.payload[2] << 8) | begin.payload[3] : -1;
    if (resource !== NFNL_SUBSYS_NFTABLES) return [ackMessage(begin, new KernelError(EOPNOTSUPP))];
    return this.#attempt(begin, messages, end, false);
  }

  /**
   * Carries a batch out. Jumps are checked once, at its end; when that finds a fault the batch is taken back and carried
   * out again with a check after every change, so that the error names the message that made it.
   */
  #attempt(begin: Message, messages: readonly Message[], end: Message | undefined, checkEach: boolean): Message[] {
    const nft = this.#nft;
    const heard = this.groups.heard(NFNLGRP_NFTABLES);
    const tx = nft.begin(heard);
    const acks: Message[] = [];
    let failed = false;
    for (const m of messages) {
      try {
        this.#change(tx, m);
        if (checkEach && tx.jumps) nft.validate();
        if (m.flags & NLM_F_ACK) acks.push(ackMessage(m, undefined));
      } catch (error) {
        failed = true;
        acks.push(ackMessage(m, error));
        // What follows may rest on what failed; the kernel goes on to find more errors, and so does this.
        if (checkEach) break;
      }
    }
    if (!failed && tx.jumps && !checkEach) {
      try {
        nft.validate();
      } catch (error) {
        tx.abort();
        if (!(error instanceof KernelError)) return [ackMessage(begin, error)];
        return this.#attempt(begin, messages, end, true);
      }
    }
    // A batch without its end is a dry run.
    if (failed || end === undefined) {
      tx.abort();
      return acks;
    }
    nft.commit(tx);
    const echoes: Message[] = [];
    for (const note of tx.notes) {
      const m = note.make();
      if (note.echo) echoes.push(m);
      if (heard) this.groups.publish(NFNLGRP_NFTABLES, () => m);
    }
    if (heard) this.groups.publish(NFNLGRP_NFTABLES, () => generationMessage(nft, { seq: end.seq }));
    return [...echoes, ...acks, ...(end.flags & NLM_F_ACK ? [ackMessage(end, undefined)] : [])];
  }

  #change(tx: Transaction, m: Message): void {
    if (m.type >> 8 !== NFNL_SUBSYS_NFTABLES) throw new KernelError(ERANGE);
    change(this.#nft, tx, parseRequest(m));
  }
}
