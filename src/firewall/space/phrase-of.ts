/** A packet as the phrase that `netloom try` takes, where the phrase can say it. */
import { formatIpv4, formatIpv6 } from '../../wire/address.ts';
import type { Witness } from './witness.ts';
import type { World } from './worlds.ts';

const NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [58, 'icmpv6'],
]);

/** The phrase; undefined for packets that it has no words for. */
export function phraseOf(world: World, witness: Witness): string | undefined {
  const { bytes } = witness;
  const six = world.l3 === 10;
  if ((world.l3 !== 2 && !six) || world.name.startsWith('bridge') || witness.state !== 'new') return undefined;
  const protocol = six ? bytes[6] : bytes[9];
  const name = NAMES.get(protocol);
  const at = six ? 40 : 20;
  if (name === undefined || bytes.length < at + 4) return undefined;
  const dv = new DataView(bytes.buffer, bytes.byteOffset);
  const ports = protocol === 6 || protocol === 17;
  const address = (from: number): string => (six ? formatIpv6(bytes, from) : formatIpv4(bytes, from));
  const end = (from: number, port: number): string => {
    const text = address(from);
    if (!ports) return text;
    return six ? `[${text}]:${dv.getUint16(port)}` : `${text}:${dv.getUint16(port)}`;
  };
  const words = [witness.iif ?? 'local', name, end(six ? 8 : 12, at), '->', end(six ? 24 : 16, at + 2)];
  if (!ports) words.push('type', String(bytes[at]), 'code', String(bytes[at + 1]));
  if (protocol === 6 && bytes[at + 13] !== 2)
    ['fin', 'syn', 'rst', 'psh', 'ack', 'urg'].forEach((flag, i) => {
      if (bytes[at + 13] & (1 << i)) words.push(flag);
    });
  if (witness.mark !== 0) words.push('mark', String(witness.mark));
  return words.join(' ');
}
