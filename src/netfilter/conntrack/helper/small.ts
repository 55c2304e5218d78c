/**
 * Helpers of few lines: TFTP (RFC 1350), IRC's DCC, SANE, Amanda, and the broadcasts of NetBIOS name service (RFC 1002) and SNMP
 * (RFC 1157), whose answers come from addresses that nobody asked.
 */
import * as ipv4 from '../../../wire/ipv4.ts';
import { NF_CT_EXPECT_PERMANENT } from '../../../wire/uapi/ctnetlink.ts';
import { NF_ACCEPT } from '../../../wire/uapi/netfilter.ts';
import { DST, dstPort, l3num, srcPort } from '../tuple.ts';
import { dirOf, expectConnection, isEstablished, tcpPayload, textOf, udpPayload } from './payload.ts';
import type { Helper, HelperData } from './types.ts';

const TFTP_RRQ = 1;
const TFTP_WRQ = 2;

/** The transfer comes from a port that the server chooses. */
export const tftp: Helper = {
  name: 'tftp',
  protocol: ipv4.IPPROTO_UDP,
  policies: [{ name: 'tftp', max: 1, timeout: 300 }],
  help(table, ct, p, at, ctinfo, state) {
    const body = udpPayload(table, p, at, state.pf);
    if (body === undefined || body.end - body.at < 2) return NF_ACCEPT;
    const code = body.dv.getUint16(body.at);
    if (code !== TFTP_RRQ && code !== TFTP_WRQ) return NF_ACCEPT;
    const reply = ct.at(1);
    const e = table.expectations.make(ct, {
      family: l3num(ct.words, reply),
      protocol: ipv4.IPPROTO_UDP,
      src: [ct.words, reply],
      dst: [ct.words, reply + DST],
      dstPort: dstPort(ct.words, reply),
    });
    return expectConnection(table, ct, p, at, ctinfo, state.pf, e, {
      offset: 0,
      length: 0,
      dir: 1,
      savedPort: srcPort(ct.words, ct.at(0)),
    });
  },
};

const DCC = /^(?:SEND |CHAT |MOVE |TSEND |SCHAT )/;

/** A client offers a file or a chat: `PRIVMSG x :\1DCC SEND name 3232235777 4567 1000\1`. IPv4 only, as the offer is. */
export const irc: Helper = {
  name: 'irc',
  protocol: ipv4.IPPROTO_TCP,
  policies: [{ name: 'irc', max: 8, timeout: 300 }],
  help(table, ct, p, at, ctinfo, state) {
    if (!isEstablished(ctinfo) || dirOf(ctinfo) === 1 || l3num(ct.words, ct.at(0)) !== 2) return NF_ACCEPT;
    const body = tcpPayload(table, p, at, state.pf);
    if (body === undefined) return NF_ACCEPT;
    const text = textOf(body, 4095);
    const begin = text.search(/[^ \r\n]/);
    if (begin < 0 || text.slice(begin, begin + 8).toUpperCase() !== 'PRIVMSG ') return NF_ACCEPT;
    const message = text.indexOf(' :', begin + 8);
    if (message < 0 || text.slice(message + 2, message + 7) !== '\x01DCC ') return NF_ACCEPT;
    const offer = DCC.exec(text.slice(message + 7));
    if (offer === null) return NF_ACCEPT;
    const from = message + 7 + offer[0].length;
    const space = text.indexOf(' ', from);
    if (space < 0 || text.indexOf('\n', space) < 0) return NF_ACCEPT;
    const m = /^(\d*)( *)(\d*)/.exec(text.slice(space + 1))!;
    const address = Number(m[1]) >>> 0;
    const port = Number(m[3]) & 0xffff;
    const known = ct.words[ct.at(0)] === address || ct.words[ct.at(1) + DST] === address;
    if (!known || port === 0) return NF_ACCEPT;
    const e = table.expectations.make(ct, {
      family: 2,
      protocol: ipv4.IPPROTO_TCP,
      dst: [ct.words, ct.at(1) + DST],
      dstPort: port,
    });
    const outside = ct.words[ct.at(1) + DST];
    return expectConnection(table, ct, p, at, ctinfo, state.pf, e, {
      offset: space + 1,
      length: m[0].length,
      dir: 1,
      savedPort: port,
      text: (chosen) => `${outside} ${chosen}`,
    });
  },
};

type SaneData = HelperData & { readonly kind: 'sane'; asked: boolean };
const SANE_NET_START = 7;

/** A scan's data comes over a connection of its own, to the port that the server names. */
export const sane: Helper = {
  name: 'sane',
  protocol: ipv4.IPPROTO_TCP,
  policies: [{ name: 'sane', max: 1, timeout: 300 }],
  newData: (): SaneData => ({ kind: 'sane', asked: false }),
  help(table, ct, p, at, ctinfo, state) {
    const data = ct.helper?.data as SaneData | undefined;
    const body = isEstablished(ctinfo) ? tcpPayload(table, p, at, state.pf) : undefined;
    if (body === undefined || data?.kind !== 'sane') return NF_ACCEPT;
    const size = body.end - body.at;
    if (dirOf(ctinfo) === 0) {
      if (size === 8) data.asked = body.dv.getUint32(body.at) === SANE_NET_START;
      return NF_ACCEPT;
    }
    if (!data.asked) return NF_ACCEPT;
    data.asked = false;
    if (size < 8 || body.dv.getUint32(body.at) !== 0) return NF_ACCEPT;
    if (body.dv.getUint16(body.at + 4) !== 0) return NF_ACCEPT;
    const orig = ct.at(0);
    const e = table.expectations.make(ct, {
      family: l3num(ct.words, orig),
      protocol: ipv4.IPPROTO_TCP,
      src: [ct.words, orig],
      dst: [ct.words, orig + DST],
      dstPort: body.dv.getUint16(body.at + 6),
    });
    return expectConnection(table, ct, p, at, ctinfo, state.pf, e);
  },
};

const AMANDA_TIMEOUT = 300;

/** A backup client answers with the ports of its streams: `CONNECT DATA 1234 MESG 1235 INDEX 1236`. */
export const amanda: Helper = {
  name: 'amanda',
  protocol: ipv4.IPPROTO_UDP,
  policies: [{ name: 'amanda', max: 4, timeout: 180 }],
  help(table, ct, p, at, ctinfo, state) {
    if (dirOf(ctinfo) === 0) return NF_ACCEPT;
    table.prolong(ct, AMANDA_TIMEOUT);
    const body = udpPayload(table, p, at, state.pf);
    if (body === undefined) return NF_ACCEPT;
    const text = textOf(body, 65535);
    const connect = text.indexOf('CONNECT ');
    const stop = connect < 0 ? -1 : text.indexOf('\n', connect + 8);
    if (stop < 0) return NF_ACCEPT;
    const reply = ct.at(0);
    for (const word of ['DATA ', 'MESG ', 'INDEX ', 'STATE ']) {
      const found = text.indexOf(word, connect + 8);
      if (found < 0 || found + word.length > stop) continue;
      const from = found + word.length;
      const digits = /^\d{0,5}/.exec(text.slice(from, stop))![0];
      const port = Number(digits) & 0xffff;
      if (port === 0) break;
      const e = table.expectations.make(ct, {
        family: l3num(ct.words, reply),
        protocol: ipv4.IPPROTO_TCP,
        src: [ct.words, reply],
        dst: [ct.words, reply + DST],
        dstPort: port,
      });
      const verdict = expectConnection(table, ct, p, at, ctinfo, state.pf, e, {
        offset: from,
        length: digits.length,
        dir: 0,
        savedPort: port,
        text: String,
      });
      if (verdict !== NF_ACCEPT) return verdict;
    }
    return NF_ACCEPT;
  },
};

/** Answers to a broadcast of this host may come from the whole network, for some seconds. */
function broadcast(name: string, port: number, timeout: number): Helper {
  return {
    name,
    protocol: ipv4.IPPROTO_UDP,
    policies: [{ name, max: 1, timeout }],
    help(table, ct, _p, _at, ctinfo, state) {
      if (state.iif !== 0 || dirOf(ctinfo) === 1 || l3num(ct.words, ct.at(0)) !== 2) return NF_ACCEPT;
      const mask = table.broadcastMask?.(state.oif, ct.words[ct.at(0) + DST]) ?? 0;
      if (mask === 0) return NF_ACCEPT;
      const reply = ct.at(1);
      const e = table.expectations.make(ct, {
        family: 2,
        protocol: ipv4.IPPROTO_UDP,
        src: [ct.words, reply],
        dst: [ct.words, reply + DST],
        srcPort: port,
        dstPort: dstPort(ct.words, reply),
      });
      e.mask[0] = mask;
      e.flags = NF_CT_EXPECT_PERMANENT;
      table.expectations.add(e);
      table.prolong(ct, timeout);
      return NF_ACCEPT;
    },
  };
}

export const netbiosNs: Helper = broadcast('netbios-ns', 137, 3);
export const snmp: Helper = broadcast('snmp', 161, 30);
