/**
 * One nf_tables transaction: messages between NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END, each remembered with the
 * place in the script that it came from.
 */
import { AttrWriter } from '../../wire/netlink/attr.ts';
import { emitMessages, type Message, type NetlinkSocket, readAck } from '../../wire/netlink/message.ts';
import { NLM_F_ACK, NLM_F_ECHO, NLM_F_REQUEST } from '../../wire/uapi/netlink.ts';
import { NFNL_SUBSYS_NFTABLES } from '../../wire/uapi/nfnetlink.ts';
import type { Family, Rule } from './ast.ts';
import type { Location } from './source.ts';

const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;

export const FAMILY_NUMBERS: Readonly<Record<Family, number>> = {
  ip: 2,
  ip6: 10,
  inet: 1,
  arp: 3,
  bridge: 7,
  netdev: 5,
};

/** `struct nfgenmsg` */
export function nfgenmsg(family: number, resource = 0): Uint8Array {
  return Uint8Array.of(family, 0, resource >> 8, resource & 255);
}

export type Origin = { readonly loc?: Location; readonly rule?: Rule };
export type BatchError = { readonly errno: number; readonly message?: string; readonly origin: Origin };

export class Batch {
  readonly #messages: Message[] = [];
  readonly #origins: Origin[] = [];
  /** Every message asks to be told what came of it (`nft -e`). */
  echo = false;

  get size(): number {
    return this.#messages.length;
  }

  /** Adds one message; `fill` writes its attributes. */
  add(msg: number, family: number, flags: number, origin: Origin, fill: (w: AttrWriter) => void): void {
    const w = new AttrWriter().raw(nfgenmsg(family));
    fill(w);
    this.#messages.push({
      type: (NFNL_SUBSYS_NFTABLES << 8) | msg,
      flags: NLM_F_REQUEST | NLM_F_ACK | (this.echo ? NLM_F_ECHO : 0) | flags,
      seq: this.#messages.length + 1,
      port: 0,
      payload: w.finish(),
    });
    this.#origins.push(origin);
  }

  /** Sends it all. A check leaves out the end, so that the kernel takes everything back. */
  send(socket: NetlinkSocket, check: boolean): { errors: BatchError[]; echoes: { m: Message; origin: Origin }[] } {
    const frame = (type: number, seq: number): Message => ({
      type,
      flags: NLM_F_REQUEST,
      seq,
      port: 0,
      payload: nfgenmsg(0, NFNL_SUBSYS_NFTABLES),
    });
    const all = [frame(NFNL_MSG_BATCH_BEGIN, 0), ...this.#messages];
    if (!check) all.push(frame(NFNL_MSG_BATCH_END, this.#messages.length + 1));
    const errors: BatchError[] = [];
    const echoes: { m: Message; origin: Origin }[] = [];
    for (const m of socket.send(emitMessages(all))) {
      const origin = this.#origins[m.seq - 1] ?? {};
      const ack = readAck(m);
      if (ack === undefined) echoes.push({ m, origin });
      else if (ack.errno !== 0)
        errors.push({ errno: ack.errno, origin, ...(ack.message !== undefined && { message: ack.message }) });
    }
    return { errors, echoes };
  }
}
