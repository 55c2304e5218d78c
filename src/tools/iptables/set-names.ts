/**
 * Names and indices of ipset sets, asked of the kernel (nfnetlink subsystem ipset, linux/netfilter/ipset/ip_set.h). The
 * structures of the `set` extensions carry the index.
 */
import { AttrWriter, attrMap, getBeU16, getString } from '../../wire/netlink/attr.ts';
import { emitMessages, type Message, type NetlinkSocket, readAck } from '../../wire/netlink/message.ts';
import { NLM_F_REQUEST } from '../../wire/uapi/netlink.ts';

const NFNL_SUBSYS_IPSET = 6;
const IPSET_CMD_GET_BYNAME = 14;
const IPSET_CMD_GET_BYINDEX = 15;
const IPSET_ATTR_PROTOCOL = 1;
const IPSET_ATTR_SETNAME = 2;
const IPSET_ATTR_INDEX = 11;
const IPSET_PROTOCOL = 7;

export type SetNames = {
  /** Index of a set; undefined when there is no such set, or no ipset in the kernel. */
  index(name: string): number | undefined;
  name(index: number): string | undefined;
};

/** The sets of the host behind a socket. */
export function setNames(socket: NetlinkSocket, family: number): SetNames {
  const ask = (command: number, fill: (w: AttrWriter) => void): Message | undefined => {
    const w = new AttrWriter().raw(Uint8Array.of(family, 0, 0, 0)).u8(IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL);
    fill(w);
    const type = (NFNL_SUBSYS_IPSET << 8) | command;
    const replies = socket.send(emitMessages([{ type, flags: NLM_F_REQUEST, seq: 1, port: 0, payload: w.finish() }]));
    return replies.find((m) => readAck(m) === undefined && m.type === type);
  };
  return {
    index(name) {
      const reply = ask(IPSET_CMD_GET_BYNAME, (w) => w.string(IPSET_ATTR_SETNAME, name));
      const attr = reply && attrMap(reply.payload, 4).get(IPSET_ATTR_INDEX);
      return attr && getBeU16(attr.payload);
    },
    name(index) {
      const reply = ask(IPSET_CMD_GET_BYINDEX, (w) => w.beU16(IPSET_ATTR_INDEX, index));
      const attr = reply && attrMap(reply.payload, 4).get(IPSET_ATTR_SETNAME);
      return attr && getString(attr.payload);
    },
  };
}

/** For parsers without a host. */
export const noSets: SetNames = { index: () => undefined, name: () => undefined };
