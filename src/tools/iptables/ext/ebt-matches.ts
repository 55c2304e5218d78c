/** Matches of ebtables (ebtables-nft(8)): `mark_m` and `pkttype`. */
import { EBT_MARK_AND, EBT_MARK_OR, type EbtMark, ebtMark as markCodec } from '../../../wire/xt/ebt-mark.ts';
import { type EbtPkttype, ebtPkttype as pkttypeCodec } from '../../../wire/xt/ebt-pkttype.ts';
import { problem } from '../errors.ts';
import type { Extension } from '../extension.ts';
import { number, U32_MAX } from '../values.ts';

const not = (invert: number): string => (invert ? '! ' : '');

function markText(s: EbtMark): string {
  const mark = `0x${s.mark.toString(16)}`;
  const mask = `0x${s.mask.toString(16)}`;
  if (s.bitmask === EBT_MARK_OR) return `/${mask}`;
  return s.mask === BigInt(U32_MAX) ? mark : `${mark}/${mask}`;
}

/** "MARK", "MARK/MASK", or "/MASK" for any bit of the mask. */
export const ebtMark: Extension<EbtMark> = {
  kind: 'match',
  name: 'mark_m',
  revision: 0,
  codec: markCodec,
  options: [
    {
      name: 'mark',
      invert: true,
      mandatory: true,
      parse(s, value, invert) {
        const [mark, mask, more] = value.split('/');
        const a = mark === '' && mask !== undefined ? 0 : number(mark, U32_MAX);
        const b = mask === undefined ? U32_MAX : number(mask, U32_MAX);
        if (a === undefined || b === undefined || more !== undefined) throw problem(`Bad mark value '${value}'`);
        s.mark = BigInt(a);
        s.mask = BigInt(b);
        s.bitmask = mark === '' ? EBT_MARK_OR : EBT_MARK_AND;
        s.invert = invert ? 1 : 0;
      },
    },
  ],
  save: (s) => ` --mark ${not(s.invert)}${markText(s)}`,
  print: (s) => ` --mark ${not(s.invert)}${markText(s)}`,
};

/** Classes by number (PACKET_*). */
const CLASSES: readonly string[] = ['host', 'broadcast', 'multicast', 'otherhost', 'outgoing', 'loopback', 'fastroute'];
const pkttypeText = (s: EbtPkttype): string => ` --pkttype-type ${not(s.invert)}${CLASSES[s.type] ?? s.type}`;

export const ebtPkttype: Extension<EbtPkttype> = {
  kind: 'match',
  name: 'pkttype',
  revision: 0,
  codec: pkttypeCodec,
  options: [
    {
      name: 'pkttype-type',
      invert: true,
      mandatory: true,
      parse(s, value, invert) {
        const named = CLASSES.indexOf(value.toLowerCase());
        const type = named >= 0 ? named : number(value, 0xff);
        if (type === undefined) throw problem(`Could not parse class '${value}'`);
        s.type = type;
        s.invert = invert ? 1 : 0;
      },
    },
  ],
  save: pkttypeText,
  print: pkttypeText,
};
