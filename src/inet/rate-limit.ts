/**
 * Linux's limits on ICMP errors: a token bucket per destination (icmp_ratelimit, for the types of icmp_ratemask) and one
 * for the whole host (icmp_msgs_per_sec, icmp_msgs_burst). See icmp(7), ip-sysctl.rst.
 */
import type { World } from '../core/world.ts';

const MS = 1e6;
/** A destination may save up this many errors (XRLIM_BURST_FACTOR). */
const BURST_FACTOR = 6;
const MAX_PEERS = 4096;
// net.ipv4.route.redirect_load in milliseconds, and redirect_number.
const REDIRECT_LOAD = 20;
const REDIRECT_NUMBER = 9;

export class IcmpRateLimit {
  readonly #world: World;
  readonly #peers = new Map<number, { tokens: number; last: number }>();
  readonly #redirects = new Map<number, { sent: number; last: number }>();
  #credit = -1;
  #stamp = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** The host's own limit. */
  global(perSecond: number, burst: number): boolean {
    const { now } = this.#world;
    if (this.#credit < 0) this.#credit = burst;
    const gained = Math.floor(((now - this.#stamp) / 1e9) * perSecond);
    if (gained > 0) {
      this.#credit = Math.min(this.#credit + gained, burst);
      this.#stamp = now;
    }
    if (this.#credit <= 0) return false;
    this.#credit--;
    return true;
  }

  /** Redirects to one sender: at most nine, each wait twice the one before, until it has been quiet for 20 seconds. */
  redirect(destination: number): boolean {
    const { now } = this.#world;
    let peer = this.#redirects.get(destination);
    if (peer === undefined) {
      if (this.#redirects.size >= MAX_PEERS) this.#redirects.clear();
      peer = { sent: 0, last: now };
      this.#redirects.set(destination, peer);
    } else if (now > peer.last + (REDIRECT_LOAD << REDIRECT_NUMBER) * 2 * MS) peer.sent = 0;
    if (peer.sent >= REDIRECT_NUMBER) {
      peer.last = now;
      return false;
    }
    if (peer.sent !== 0 && now <= peer.last + (REDIRECT_LOAD << peer.sent) * MS) return false;
    peer.last = now;
    peer.sent++;
    return true;
  }

  /** The limit of one destination (any number that tells it): one error per `intervalMs`, six saved up. */
  peer(destination: number, intervalMs: number, factor: number = BURST_FACTOR): boolean {
    if (intervalMs === 0) return true;
    const { now } = this.#world;
    let peer = this.#peers.get(destination);
    if (peer === undefined) {
      if (this.#peers.size >= MAX_PEERS) this.#peers.clear();
      peer = { tokens: intervalMs * factor, last: now };
      this.#peers.set(destination, peer);
    }
    peer.tokens = Math.min(peer.tokens + (now - peer.last) / MS, intervalMs * factor);
    peer.last = now;
    if (peer.tokens < intervalMs) return false;
    peer.tokens -= intervalMs;
    return true;
  }
}
