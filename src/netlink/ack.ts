/**
 * NLMSG_ERROR and NLMSG_DONE answers, with extended acknowledgement (Documentation/userspace-api/netlink/intro.rst).
 */
import { EIO, KernelError } from '../core/errno.ts';
import { AttrWriter } from '../wire/netlink/attr.ts';
import { type Message, NLMSG_HDRLEN } from '../wire/netlink/message.ts';
import {
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSGERR_ATTR_MSG,
  NLMSGERR_ATTR_OFFS,
} from '../wire/uapi/netlink.ts';

/**
 * The answer to a request: an acknowledgement when `error` is undefined, the errno, text and position otherwise.
 * Anything but a KernelError is a fault of netloom's own and is reported as EIO with its text, never thrown on.
 */
export function ackMessage(m: Message, error: unknown): Message {
  const failure =
    error === undefined
      ? undefined
      : error instanceof KernelError
        ? error
        : new KernelError(
            EIO,
            `internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
          );
  const w = new AttrWriter();
  // As in Linux, a request that failed is quoted in full, one that did not by its header only.
  const fixed = new Uint8Array(4 + NLMSG_HDRLEN);
  const view = new DataView(fixed.buffer);
  view.setInt32(0, -(failure?.errno ?? 0), true);
  view.setUint32(4, NLMSG_HDRLEN + m.payload.length, true);
  view.setUint16(8, m.type, true);
  view.setUint16(10, m.flags, true);
  view.setUint32(12, m.seq, true);
  view.setUint32(16, m.port, true);
  w.raw(fixed);
  let flags: number = failure ? 0 : NLM_F_CAPPED;
  if (failure) w.raw(m.payload);
  if (failure?.extack !== undefined) {
    w.string(NLMSGERR_ATTR_MSG, failure.extack);
    flags |= NLM_F_ACK_TLVS;
  }
  if (failure?.at !== undefined) {
    w.u32(NLMSGERR_ATTR_OFFS, NLMSG_HDRLEN + failure.at - m.payload.byteOffset);
    flags |= NLM_F_ACK_TLVS;
  }
  return { type: NLMSG_ERROR, flags, seq: m.seq, port: m.port, payload: w.finish() };
}

/** The end of a dump. */
export function doneMessage(m: Message): Message {
  return { type: NLMSG_DONE, flags: NLM_F_MULTI, seq: m.seq, port: m.port, payload: new Uint8Array(4) };
}
