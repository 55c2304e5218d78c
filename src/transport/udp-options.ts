/** Options of IPPROTO_UDP and IPPROTO_UDPLITE (udp(7), udplite(7), linux/udp.h), and the state they set. */
import { EINVAL, ENOPROTOOPT } from '../core/errno.ts';
import * as u from '../wire/uapi/socket.ts';
import { SOL_UDP, SOL_UDPLITE } from '../wire/uapi/socket.ts';
import type { Row } from './endpoint/option.ts';
import type { Sock } from './endpoint/sock.ts';

export type UdpState = {
  noCheck6Tx: boolean;
  noCheck6Rx: boolean;
  /** UDP_SEGMENT: size of the datagrams that one send makes; 0: one. */
  segment: number;
  /** UDP_GRO: datagrams of one sender are handed out joined. */
  gro: boolean;
  /** UDP-Lite: bytes covered by checksums sent, fewest covered of those received; 0: all, any. */
  sendCoverage: number;
  receiveCoverage: number;
};

export function newUdpState(): UdpState {
  return { noCheck6Tx: false, noCheck6Rx: false, segment: 0, gro: false, sendCoverage: 0, receiveCoverage: 0 };
}

const stateOf = (sk: Sock): UdpState => {
  sk.own ??= newUdpState();
  return sk.own as UdpState;
};

const toggle = (name: number, label: string, field: 'noCheck6Tx' | 'noCheck6Rx' | 'gro'): Row => ({
  level: SOL_UDP,
  name,
  label,
  codec: 'int',
  get: ({ sk }) => (stateOf(sk)[field] ? 1 : 0),
  set: ({ sk }, value) => {
    stateOf(sk)[field] = value !== 0;
    return 0;
  },
});

const coverage = (name: number, label: string, field: 'sendCoverage' | 'receiveCoverage'): Row => ({
  level: SOL_UDPLITE,
  name,
  label,
  codec: 'int',
  get: ({ sk }) => stateOf(sk)[field],
  set: ({ sk }, value) => {
    // A header is always covered.
    const wanted = value !== 0 && value < 8 ? 8 : Math.min(value, 0xffff);
    if (value < 0) return EINVAL;
    stateOf(sk)[field] = wanted;
    return 0;
  },
});

export const UDP_OPTIONS: readonly Row[] = [
  toggle(u.UDP_NO_CHECK6_TX, 'UDP_NO_CHECK6_TX', 'noCheck6Tx'),
  toggle(u.UDP_NO_CHECK6_RX, 'UDP_NO_CHECK6_RX', 'noCheck6Rx'),
  toggle(u.UDP_GRO, 'UDP_GRO', 'gro'),
  {
    level: SOL_UDP,
    name: u.UDP_SEGMENT,
    label: 'UDP_SEGMENT',
    codec: 'int',
    get: ({ sk }) => stateOf(sk).segment,
    set: ({ sk }, value) => {
      if (value < 0 || value > 0xffff) return EINVAL;
      stateOf(sk).segment = value;
      return 0;
    },
  },
  {
    level: SOL_UDP,
    name: u.UDP_ENCAP,
    label: 'UDP_ENCAP',
    codec: 'int',
    get: () => 0,
    // Nothing here takes packets out of a socket: ESP, GTP and L2TP in UDP are not there.
    set: (_c, value) => (value === 0 ? 0 : ENOPROTOOPT),
  },
];

export const UDPLITE_OPTIONS: readonly Row[] = [
  coverage(u.UDPLITE_SEND_CSCOV, 'UDPLITE_SEND_CSCOV', 'sendCoverage'),
  coverage(u.UDPLITE_RECV_CSCOV, 'UDPLITE_RECV_CSCOV', 'receiveCoverage'),
];
