/** A packet as the message a socket hands out. */
import { AF_INET } from '../../wire/address.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as a from './address.ts';
import { type Message, truesizeOf } from './queue.ts';
import type { Sock } from './sock.ts';
import type { Sockets } from './sockets.ts';

/**
 * The message in a packet whose data begins with a header of `header` bytes, which the program is not shown. The packet is
 * only lent.
 */
export function messageOf(
  sockets: Sockets,
  sk: Sock,
  p: number,
  family: number,
  header: number,
  port: number,
): Message {
  const { slab, now } = sockets.host.world;
  const { dv, u8 } = slab;
  const network = slab.network(p);
  const v4 = family === AF_INET;
  const words = new Uint32Array(4);
  a.load(words, dv, network + (v4 ? ipv4.DST : ipv6.DST), family);
  const ifindex = sockets.inputDevice(p, words);
  const address = (at: number, portThere: number) => {
    a.load(words, dv, at, family);
    return sockets.sockAddr(sk, words, portThere, ifindex);
  };
  return {
    data: u8.slice(Math.min(slab.end(p), slab.head(p) + header), slab.end(p)),
    from: address(network + (v4 ? ipv4.SRC : ipv6.SRC), port),
    to: address(network + (v4 ? ipv4.DST : ipv6.DST), sk.sport),
    ifindex,
    ttl: v4 ? ipv4.ttl(dv, network) : ipv6.hopLimit(dv, network),
    tos: v4 ? ipv4.tos(dv, network) : ipv6.trafficClass(dv, network),
    tstamp: now,
    mark: slab.mark(p),
    gsoSize: 0,
    truesize: truesizeOf(slab.end(p) - network),
  };
}
