/** MAC addresses with masks and the names that arptables and ebtables have for some of them. */
import { formatMac } from '../../../wire/address.ts';
import { problem } from '../errors.ts';

const NAMES: readonly (readonly [string, string, string])[] = [
  ['Unicast', '00:00:00:00:00:00', '01:00:00:00:00:00'],
  ['Multicast', '01:00:00:00:00:00', '01:00:00:00:00:00'],
  ['Broadcast', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff'],
  ['BGA', '01:80:c2:00:00:00', 'ff:ff:ff:ff:ff:ff'],
];
const MAC = /^[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}$/;

export const parseMacBytes = (text: string): Uint8Array | undefined =>
  MAC.test(text) ? Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16)) : undefined;

/** "address[/mask]" or a name. */
export function maskedMac(text: string, what: string): { value: Uint8Array; mask: Uint8Array } {
  const named = NAMES.find(([name]) => name.toLowerCase() === text.toLowerCase());
  const [address, maskText] = named === undefined ? text.split('/') : [named[1], named[2]];
  const value = parseMacBytes(address);
  const mask = maskText === undefined ? new Uint8Array(6).fill(0xff) : parseMacBytes(maskText);
  if (value === undefined || mask === undefined) throw problem(what);
  return { value: value.map((byte, i) => byte & mask[i]), mask };
}

/** The text of an address; names where `named`. */
export function macText(value: Uint8Array, mask: Uint8Array, named: boolean): string {
  const [a, m] = [formatMac(value), formatMac(mask)];
  const found = named ? NAMES.find(([, address, full]) => address === a && full === m) : undefined;
  if (found !== undefined) return found[0];
  return mask.every((byte) => byte === 0xff) ? a : `${a}/${m}`;
}
