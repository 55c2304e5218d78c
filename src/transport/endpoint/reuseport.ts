/**
 * Groups of sockets that share one address and port (SO_REUSEPORT, socket(7)): a packet's hash chooses one, or a program
 * does. Numbers in a group are those that SO_ATTACH_REUSEPORT_CBPF programs return: the order of joining, the last one
 * taking the place of one that leaves.
 */
import { TCP_ESTABLISHED } from '../../wire/uapi/socket.ts';
import type { Sock } from './sock.ts';

/** What a program of the group said: a member, "drop it", or nothing (the hash decides). */
export type Selection = Sock | 'drop' | undefined;

export type Selector = {
  /** Chooses for a packet whose transport header is at `slab.transport(p)`; -1: there is no packet. */
  select(group: ReuseportGroup, p: number, hash: number, sk: Sock): Selection;
  /** The selector is not used any more. */
  release(): void;
};

export class ReuseportGroup {
  readonly socks: Sock[] = [];
  selector: Selector | undefined;
  /** Bound to "any" (`bind_inany`). */
  readonly any: boolean;
  /** Some member is connected: look-ups compare scores again (`reuseport_has_conns`). */
  connected = false;

  constructor(any: boolean) {
    this.any = any;
  }

  add(sk: Sock): void {
    this.socks.push(sk);
    sk.group = this;
  }

  remove(sk: Sock): void {
    const at = this.socks.indexOf(sk);
    if (at < 0) return;
    const last = this.socks.pop()!;
    if (last !== sk) this.socks[at] = last;
    sk.group = undefined;
    if (this.socks.length === 0) this.setSelector(undefined);
  }

  setSelector(selector: Selector | undefined): void {
    this.selector?.release();
    this.selector = selector;
  }

  /** The member for a packet; undefined: none can take it. */
  select(sk: Sock, p: number, hash: number): Selection {
    if (this.selector !== undefined && p >= 0) {
      const chosen = this.selector.select(this, p, hash, sk);
      if (chosen !== undefined) return chosen;
    }
    const { socks } = this;
    const first = Math.floor((hash / 0x1_0000_0000) * socks.length);
    for (let i = 0; i < socks.length; i++) {
      const member = socks[(first + i) % socks.length];
      if (member.state !== TCP_ESTABLISHED) return member;
    }
    return undefined;
  }
}
