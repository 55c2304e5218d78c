/**
 * The contract between connection tracking and one transport protocol: the protocol declares its ports, its inverse
 * and what a packet does to an entry; shared code never asks which protocol it is.
 */
import type { HookState } from '../../core/hook.ts';
import type { World } from '../../core/world.ts';
import type { Conn } from './entry.ts';
import type { ConntrackSysctls } from './sysctl.ts';
import type { Words } from './tuple.ts';

/** Answers of `Tracker.packet`. */
export const CT_ACCEPT = 1;
/** The packet belongs to no valid connection: it goes on, untracked and "invalid". */
export const CT_INVALID = -1;
export const CT_DROP = 0;
/** The entry was deleted so that the packet can open a new one: look again. */
export const CT_REPEAT = -4;

/** What a tracker may ask of connection tracking. */
export type TrackerContext = {
  readonly world: World;
  readonly sysctls: ConntrackSysctls;
  /** Source keys of PPTP's GRE packets, by the rest of their tuple (helper/pptp.ts). */
  readonly greKeys: Map<string, number>;
  /** Sets the time left, in seconds, and counts the packet. */
  refresh(ct: Conn, ctinfo: number, p: number, seconds: number): void;
  /** Sets the time left without counting. */
  setTimeout(ct: Conn, seconds: number): void;
  /** Seconds left. */
  expires(ct: Conn): number;
  /** Deletes the entry; false when it was already going. */
  kill(ct: Conn): boolean;
  /** Notes an event (IPCT_*) for listeners. */
  event(ct: Conn, event: number): void;
};

export type Tracker = {
  readonly protocol: number;
  /** Name in listings. */
  readonly name: string;
  /**
   * Fills the ports word from the header at `at` (bytes up to `end`); false when the header is too short.
   * Called for inner headers of ICMP errors too, of which only eight bytes may be there.
   */
  ports(dv: DataView, at: number, end: number, t: Words, to: number): boolean;
  /** Adds to a tuple what the packet does not say and the table knows. */
  complete?(ctx: TrackerContext, t: Words): void;
  /** Turns the ports word into the other direction's; false when the message has no answer. */
  invert(t: Words, from: number, to: Words, toAt: number): boolean;
  /** Sees each packet: checks it, moves the entry's state, refreshes its time. */
  packet(ctx: TrackerContext, ct: Conn, p: number, at: number, ctinfo: number, state: HookState): number;
  /** Gone first when the table is full although it is assured. */
  canEarlyDrop?(ct: Conn): boolean;
  /** May two entries of one flow be merged when they meet at confirmation? */
  readonly allowClash: boolean;
  /** State name for listings, undefined without states. */
  stateName?(ct: Conn): string | undefined;
};

/** Source and destination port in the first four bytes. */
export function portsFromHeader(dv: DataView, at: number, end: number, t: Words, to: number): boolean {
  if (at + 4 > end) return false;
  t[to] = dv.getUint32(at);
  return true;
}

/** Swaps source and destination port. */
export function swapPorts(t: Words, from: number, to: Words, toAt: number): boolean {
  to[toAt] = (t[from] << 16) | (t[from] >>> 16);
  return true;
}
