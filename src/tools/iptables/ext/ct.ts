/** Targets `CT` and `NOTRACK`: how a packet is tracked. */
import { type CtTarget, ctTarget as codec } from '../../../wire/xt/ct-target.ts';
import { problem } from '../errors.ts';
import type { Extension, Option } from '../extension.ts';
import { number } from '../values.ts';

const NOTRACK_FLAG = 1;
const NOTRACK_ALIAS = 2;
const ZONE_ORIG = 4;
const ZONE_REPLY = 8;
const ZONE_MARK = 16;

const EVENTS: readonly (readonly [string, number])[] = [
  ['new', 0],
  ['related', 1],
  ['destroy', 2],
  ['reply', 3],
  ['assured', 4],
  ['protoinfo', 5],
  ['helper', 6],
  ['mark', 7],
  ['natseqinfo', 8],
  ['secmark', 9],
];

function events(text: string, table: readonly (readonly [string, number])[]): number {
  let out = 0;
  for (const word of text.split(',')) {
    const bit = table.find(([name]) => name === word)?.[1];
    if (bit === undefined) throw problem(`Unknown event type "${word}"`);
    out |= 1 << bit;
  }
  return out;
}
const eventText = (bits: number): string =>
  EVENTS.filter(([, bit]) => bits & (1 << bit))
    .map(([name]) => name)
    .join(',');

function zone(name: string, flags: number): Option<CtTarget> {
  return {
    name,
    parse(s, value) {
      if (value === 'mark') s.flags |= ZONE_MARK;
      else {
        const id = number(value, 65535);
        if (id === undefined) throw problem(`Cannot parse ${value} as a zone ID`);
        s.zone = id;
      }
      s.flags |= flags;
    },
  };
}

function zoneText(s: CtTarget): string {
  const name = s.flags & ZONE_ORIG ? 'zone-orig' : s.flags & ZONE_REPLY ? 'zone-reply' : 'zone';
  if (s.flags & ZONE_MARK) return ` --${name} mark`;
  return s.zone || s.flags & (ZONE_ORIG | ZONE_REPLY) ? ` --${name} ${s.zone}` : '';
}

export const CT: Extension<CtTarget> = {
  kind: 'target',
  name: 'CT',
  revision: 2,
  codec,
  options: [
    {
      name: 'notrack',
      arg: 'none',
      parse(s) {
        s.flags |= NOTRACK_FLAG;
      },
    },
    {
      name: 'helper',
      parse(s, value) {
        s.helper = value.slice(0, 15);
      },
    },
    {
      name: 'timeout',
      parse(s, value) {
        s.timeout = value.slice(0, 31);
      },
    },
    {
      name: 'ctevents',
      parse(s, value) {
        s.ctEvents = events(value, EVENTS);
      },
    },
    {
      name: 'expevents',
      parse(s, value) {
        s.expEvents = events(value, [['new', 0]]);
      },
    },
    zone('zone', 0),
    zone('zone-orig', ZONE_ORIG),
    zone('zone-reply', ZONE_REPLY),
  ],
  owns: (s) => (s.flags & NOTRACK_ALIAS) === 0,
  save(s) {
    let out = '';
    if (s.flags & NOTRACK_FLAG) out += ' --notrack';
    if (s.helper !== '') out += ` --helper ${s.helper}`;
    if (s.timeout !== '') out += ` --timeout ${s.timeout}`;
    if (s.ctEvents) out += ` --ctevents ${eventText(s.ctEvents)}`;
    if (s.expEvents) out += ' --expevents new';
    return out + zoneText(s);
  },
  print(s) {
    let out = ' CT';
    if (s.flags & NOTRACK_FLAG) out += ' notrack';
    if (s.helper !== '') out += ` helper ${s.helper}`;
    if (s.ctEvents) out += ` ctevents ${eventText(s.ctEvents)}`;
    if (s.expEvents) out += ' expevents new';
    return out + zoneText(s).replace('--', '');
  },
};

export const NOTRACK: Extension<CtTarget> = {
  kind: 'target',
  name: 'NOTRACK',
  realName: 'CT',
  revision: 2,
  codec,
  init(s) {
    s.flags = NOTRACK_FLAG | NOTRACK_ALIAS;
  },
  owns: (s) => (s.flags & NOTRACK_ALIAS) !== 0,
  options: [],
  save: () => '',
  print: () => ' NOTRACK',
};
