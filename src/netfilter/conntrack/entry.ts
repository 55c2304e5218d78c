/**
 * One tracked connection (`struct nf_conn`). Its two tuples lie in the table's memory (see tuple.ts); this is the rest:
 * state that rules, NAT, netlink and the protocol trackers read and write. Entries are reused, never garbage per packet.
 */
import { IPS_CONFIRMED, IPS_DYING, IPS_TEMPLATE } from '../../wire/uapi/ctnetlink.ts';

/** `ctinfo` of packets that a rule took out of tracking (nf_conntrack_common.h). */
export const IP_CT_UNTRACKED = 7;
/** Internal status bit: inserted despite a clash, so it never becomes assured (IPS_NAT_CLASH). */
export const IPS_NAT_CLASH: number = IPS_TEMPLATE << 1;

/** Zone directions: which of the two tuples carry the zone's id. */
export const ZONE_DIR_ORIG = 1;
export const ZONE_DIR_REPL = 2;
export const ZONE_DIR_BOTH = 3;

/** One side of a TCP connection (`struct ip_ct_tcp_state`): window tracking. */
export type TcpSide = {
  end: number;
  maxend: number;
  maxwin: number;
  maxack: number;
  scale: number;
  /** IP_CT_TCP_FLAG_* */
  flags: number;
};

/** TCP's part of an entry (`struct ip_ct_tcp`). */
export type TcpState = {
  readonly seen: readonly [TcpSide, TcpSide];
  state: number;
  lastDir: number;
  lastIndex: number;
  retrans: number;
  lastSeq: number;
  lastAck: number;
  lastEnd: number;
  lastWin: number;
  lastWscale: number;
  lastFlags: number;
};

/** SCTP's part of an entry (`struct ip_ct_sctp`). */
export type SctpState = {
  state: number;
  readonly vtag: [number, number];
  readonly init: [boolean, boolean];
  lastDir: number;
  vtagFailed: boolean;
};

/** What `ct helper`, and later the helpers themselves, leave on an entry; expectations hang here (another issue). */
export type HelperState = { readonly name: string; expecting: number };

export class Conn {
  /** Number of the entry: packets carry it plus one in `slab.nfct`. */
  readonly index: number;
  /** IPS_* */
  status = 0;
  /** False once the entry is gone: a packet that still names it is no longer tracked. */
  live = false;
  mark = 0;
  secmark = 0;
  zone = 0;
  zoneDir: number = ZONE_DIR_BOTH;
  /** Seconds until an unconfirmed entry expires after its confirmation; world time in ns when it is confirmed. */
  timeout = 0;
  /** Packets and bytes of the original and the reply direction, counted when accounting is on. */
  readonly packets: [number, number] = [0, 0];
  readonly bytes: [number, number] = [0, 0];
  /** 128 label bits, or undefined while none was set. */
  labels: Uint32Array | undefined;
  tcp: TcpState | undefined;
  sctp: SctpState | undefined;
  /** World time from which a UDP flow counts as a stream. */
  streamNs = 0;
  /** The connection that announced this one (expectations), or of an ICMP error. */
  master: Conn | undefined;
  helper: HelperState | undefined;
  /** Names of `ct timeout` values that a rule chose, by state; undefined: the sysctls. */
  timeouts: readonly number[] | undefined;
  /** Device whose address masquerading wrote: the entry dies with it. */
  masqIfindex = 0;
  /** Events that listeners want of this entry (`ct eventmask`), and those not yet told. */
  eventMask = 0xffff;
  pendingEvents = 0;
  /** Creation and end, ns since 1970, when timestamps are on. */
  startNs = 0;
  stopNs = 0;
  /** CTA_ID. */
  id = 0;
  /** Slab handle of the packet that made the entry, while it is unconfirmed. */
  packet = -1;

  constructor(index: number) {
    this.index = index;
  }

  get confirmed(): boolean {
    return (this.status & IPS_CONFIRMED) !== 0;
  }
  get dying(): boolean {
    return (this.status & IPS_DYING) !== 0;
  }
  get template(): boolean {
    return (this.status & IPS_TEMPLATE) !== 0;
  }

  /** Makes the entry as new. */
  reset(): void {
    this.status = this.mark = this.secmark = this.zone = this.timeout = 0;
    this.zoneDir = ZONE_DIR_BOTH;
    this.packets[0] = this.packets[1] = this.bytes[0] = this.bytes[1] = 0;
    this.labels = this.tcp = this.sctp = this.master = this.helper = this.timeouts = undefined;
    this.streamNs = this.masqIfindex = this.pendingEvents = this.startNs = this.stopNs = 0;
    this.eventMask = 0xffff;
    this.packet = -1;
    this.live = true;
  }
}

/** A zone as `ct zone set` and the CT target give it. */
export type Zone = { readonly id: number; readonly dir: number };

export const DEFAULT_ZONE: Zone = { id: 0, dir: ZONE_DIR_BOTH };

/** The id that a zone has for one direction (0 original, 1 reply). */
export function zoneId(id: number, zoneDir: number, dir: number): number {
  return zoneDir & (1 << dir) ? id : 0;
}
