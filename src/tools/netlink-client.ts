/**
 * The tool's side of a netlink socket: one request and its acknowledgement, or a dump. Errors become `NetlinkError`
 * with errno and the kernel's text.
 */
import { emitMessages, type Message, type NetlinkSocket, readAck } from '../wire/netlink/message.ts';
import { NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR } from '../wire/uapi/netlink.ts';

/** The kernel said no: errno, and the extack text if it gave one. */
export class NetlinkError extends Error {
  readonly errno: number;
  readonly extack: string | undefined;
  /** True when the request was a dump. */
  readonly dump: boolean;

  constructor(errno: number, extack: string | undefined, dump: boolean) {
    super(extack ?? `netlink error ${errno}`);
    this.name = 'NetlinkError';
    this.errno = errno;
    this.extack = extack;
    this.dump = dump;
  }
}

export class NetlinkClient {
  readonly #socket: NetlinkSocket;
  #seq = 1;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  #exchange(type: number, flags: number, payload: Uint8Array): Message[] {
    const seq = this.#seq++;
    const datagram = emitMessages([{ type, flags: NLM_F_REQUEST | flags, seq, port: 0, payload }]);
    const replies = this.#socket.send(datagram).filter((m) => m.seq === seq);
    for (const m of replies) {
      const ack = readAck(m);
      if (ack !== undefined && ack.errno !== 0)
        throw new NetlinkError(ack.errno, ack.message, (flags & NLM_F_DUMP) === NLM_F_DUMP);
    }
    return replies.filter((m) => m.type !== NLMSG_ERROR && m.type !== NLMSG_DONE);
  }

  /** Sends a request and waits for its acknowledgement. Returns what came before it. */
  request(type: number, flags: number, payload: Uint8Array): Message[] {
    return this.#exchange(type, flags | NLM_F_ACK, payload);
  }

  /** Asks for one object. */
  get(type: number, payload: Uint8Array): Message | undefined {
    return this.#exchange(type, 0, payload)[0];
  }

  /** Asks for all objects. */
  dump(type: number, payload: Uint8Array): Message[] {
    return this.#exchange(type, NLM_F_DUMP, payload);
  }
}
