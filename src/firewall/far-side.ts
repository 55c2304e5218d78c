/**
 * The other end of each interface of a tried host: whoever is asked for there is there. It answers every ARP request and
 * every neighbour solicitation with one MAC address, and keeps the other frames that reach it.
 */

import { PKT_TRACE } from '../core/slab.ts';
import type { World } from '../core/world.ts';
import type { NetDevice } from '../device/device.ts';
import { inject, portDevice } from '../device/simple.ts';
import { parseMac } from '../wire/address.ts';
import { build } from '../wire/build.ts';
import { ether, icmpv6, ip6, type Layer, neighbour } from '../wire/layer.ts';
import { parseFrame } from '../wire/parse.ts';
import { answer, FAR_MAC } from './packet.ts';

/** A frame that came out of the host. */
export type Arrival = {
  readonly dev: string;
  readonly frame: Uint8Array;
  /** The packet's handle; reused later. */
  readonly p: number;
  /** True for the packet that is followed and for what the host makes of it; false for unrelated frames. */
  readonly traced: boolean;
};

const OWN_MAC = '02:00:5e:00:53:ff';

/** Makes an interface with a far side; frames that leave are given to `arrived`. */
export function farSide(world: World, name: string, index: number, arrived: (arrival: Arrival) => void): NetDevice {
  const address = parseMac(OWN_MAC) as Uint8Array;
  address[5] = index & 0xff;
  address[4] = 0x54 + (index >> 8);
  const dev: NetDevice = portDevice(world, { name, address }, (frame, p) => {
    const layers = parseFrame(frame);
    const reply = neighbourAnswer(layers);
    if (reply === 'quiet') return;
    if (reply !== undefined) inject(dev, build(reply));
    else arrived({ dev: name, frame, p, traced: (world.slab.flags(p) & PKT_TRACE) !== 0 });
  });
  return dev;
}

/** The answer to an address resolution; "quiet" for other messages that only keep neighbours going. */
function neighbourAnswer(layers: readonly Layer[]): Layer[] | 'quiet' | undefined {
  const upper = layers.find((l) => !['ether', 'vlan', 'ip', 'ip6', 'hbh'].includes(l.kind));
  const outer = layers.filter((l) => l.kind === 'ether' || l.kind === 'vlan');
  const back = outer.map((l) =>
    l.kind === 'ether' ? ether({ saddr: FAR_MAC, daddr: l.fields.saddr }) : { ...l, fields: { ...l.fields } },
  );
  if (upper?.kind === 'arp') {
    // Announcements ask for the sender's own address: an answer would be a conflict.
    if (upper.fields['saddr ip'] === upper.fields['daddr ip'] || upper.fields['saddr ip'] === '0.0.0.0') return 'quiet';
    const reply = answer([upper]);
    return 'layers' in reply ? [...back, ...reply.layers] : undefined;
  }
  if (upper?.kind !== 'icmpv6') return undefined;
  const type = Number(upper.fields.type);
  const net = layers.find((l) => l.kind === 'ip6');
  if (type === 135 && net !== undefined) {
    const body = layers.find((l) => l.kind === 'neighbour');
    // Duplicate address detection has no source; silence means that the address is free.
    if (body === undefined || net.fields.saddr === '::') return 'quiet';
    const target = String(body.fields.target);
    return [
      ...back,
      ip6({ saddr: target, daddr: net.fields.saddr, hoplimit: 255 }),
      icmpv6({ type: 136, id: 0x6000 }),
      neighbour(target, [{ kind: 2, data: parseMac(FAR_MAC) as Uint8Array }]),
    ];
  }
  return (type >= 130 && type <= 137 && type !== 136) || type === 143 ? 'quiet' : undefined;
}
