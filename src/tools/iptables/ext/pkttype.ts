/** Match `pkttype`: how the link layer received the packet. */
import { pkttype as codec, type Pkttype } from '../../../wire/xt/pkttype.ts';
import { problem } from '../errors.ts';
import { bang, type Extension } from '../extension.ts';

const TYPES: readonly (readonly [string, number])[] = [
  ['unicast', 0],
  ['broadcast', 1],
  ['multicast', 2],
];
const ALIASES: readonly (readonly [string, number])[] = [...TYPES, ['bcast', 1], ['mcast', 2], ['host', 0]];
const name = (type: number): string => TYPES.find(([, t]) => t === type)?.[0] ?? `${type}`;

export const pkttype: Extension<Pkttype> = {
  kind: 'match',
  name: 'pkttype',
  revision: 0,
  codec,
  options: [
    {
      name: 'pkt-type',
      invert: true,
      mandatory: true,
      parse(s, value, invert) {
        const type = ALIASES.find(([word]) => word === value.toLowerCase())?.[1];
        if (type === undefined) throw problem(`Bad packet type '${value}'`);
        s.type = type;
        s.invert = invert ? 1 : 0;
      },
    },
  ],
  save: (s) => `${bang(s.invert)} --pkt-type ${name(s.type)}`,
  print: (s) => ` PKTTYPE ${s.invert ? '!' : ''}= ${name(s.type)}`,
};
