/**
 * 802.11 frames, bare or behind a radiotap header: `type mgt`, `wlan addr2 ...`, `dir tods`, and where the payload of a data
 * frame begins. The first byte of a frame holds type and subtype, the second the direction.
 */
import { BPF_JSET } from '../insn.ts';
import {
  and,
  anyBit,
  beyond,
  type Cond,
  choose,
  constant,
  equal,
  load,
  not,
  type Offset,
  or,
  type Step,
  TRUE,
  test,
} from './cond.ts';

/** Bits of the first byte: control frame (and extension), data frame, data frame with QoS. */
const CONTROL = 0x04;
const DATA = 0x08;
const QOS = 0x80;
/** Bits of the second byte. */
const TO_DS = 1;
const FROM_DS = 2;

/** Where the four addresses are. */
const ADDR1 = 4;
const ADDR2 = 10;
const ADDR3 = 16;
const ADDR4 = 24;
/** Bytes of the header of a data frame with three addresses. */
const HEADER = 24;

const TYPES: ReadonlyMap<string, number> = new Map([
  ['mgt', 0x00],
  ['management', 0x00],
  ['ctl', 0x04],
  ['control', 0x04],
  ['data', 0x08],
]);

const MANAGEMENT_SUBTYPES: readonly (readonly [string, number])[] = [
  ['assocreq', 0x00],
  ['assoc-req', 0x00],
  ['assocresp', 0x10],
  ['assoc-resp', 0x10],
  ['reassocreq', 0x20],
  ['reassoc-req', 0x20],
  ['reassocresp', 0x30],
  ['reassoc-resp', 0x30],
  ['probereq', 0x40],
  ['probe-req', 0x40],
  ['proberesp', 0x50],
  ['probe-resp', 0x50],
  ['beacon', 0x80],
  ['atim', 0x90],
  ['disassoc', 0xa0],
  ['disassociation', 0xa0],
  ['auth', 0xb0],
  ['authentication', 0xb0],
  ['deauth', 0xc0],
  ['deauthentication', 0xc0],
];
const CONTROL_SUBTYPES: readonly (readonly [string, number])[] = [
  ['ps-poll', 0xa0],
  ['pspoll', 0xa0],
  ['ps-pol', 0xa0],
  ['rts', 0xb0],
  ['cts', 0xc0],
  ['ack', 0xd0],
  ['cf-end', 0xe0],
  ['cf-end-ack', 0xf0],
];
const DATA_SUBTYPES: readonly (readonly [string, number])[] = [
  ['data', 0x00],
  ['data-cf-ack', 0x10],
  ['data-cf-poll', 0x20],
  ['data-cf-ack-poll', 0x30],
  ['null', 0x40],
  ['cf-ack', 0x50],
  ['cf-poll', 0x60],
  ['cf-ack-poll', 0x70],
  ['qos-data', 0x80],
  ['qos-data-cf-ack', 0x90],
  ['qos-data-cf-poll', 0xa0],
  ['qos-data-cf-ack-poll', 0xb0],
  ['qos', 0xc0],
  ['qos-cf-poll', 0xe0],
  ['qos-cf-ack-poll', 0xf0],
];
const SUBTYPES: ReadonlyMap<number, ReadonlyMap<string, number>> = new Map([
  [0x00, new Map(MANAGEMENT_SUBTYPES)],
  [0x04, new Map(CONTROL_SUBTYPES)],
  [0x08, new Map(DATA_SUBTYPES)],
]);
export const DIRECTION_VALUES: ReadonlyMap<string, number> = new Map([
  ['nods', 0],
  ['tods', TO_DS],
  ['fromds', FROM_DS],
  ['dstods', TO_DS | FROM_DS],
]);

/** A type by name or by its bits; undefined when there is none. */
export function frameType(word: string | number): number | undefined {
  if (typeof word === 'string') return TYPES.get(word);
  return (word & ~0x0c) === 0 ? word : undefined;
}

/** A subtype of a type, with the type's bits. */
export function frameSubtype(type: number, word: string | number): number | undefined {
  if (typeof word === 'number') return (word & ~0xf0) === 0 ? type | word : undefined;
  const subtype = SUBTYPES.get(type)?.get(word);
  return subtype === undefined ? undefined : type | subtype;
}

/** A subtype of any type, with the type's bits. */
export function anySubtype(word: string): number | undefined {
  for (const type of SUBTYPES.keys()) {
    const found = frameSubtype(type, word);
    if (found !== undefined) return found;
  }
  return undefined;
}

const bit = (frame: Offset, at: number, mask: number): Cond => anyBit(beyond(frame, at), 1, mask);

/** A data frame: one with a payload that other protocols can be in. */
export const isData = (frame: Offset): Cond => and(not(bit(frame, 0, CONTROL)), bit(frame, 0, DATA));

/** What `each` says of the field that holds the source address. */
function source(frame: Offset, each: (at: number) => Cond): Cond {
  const fourth = choose(bit(frame, 1, TO_DS), each(ADDR4), each(ADDR3));
  const data = choose(bit(frame, 1, FROM_DS), fourth, each(ADDR2));
  return and(not(bit(frame, 0, CONTROL)), choose(bit(frame, 0, DATA), data, each(ADDR2)));
}

function destination(frame: Offset, each: (at: number) => Cond): Cond {
  const data = choose(bit(frame, 1, TO_DS), each(ADDR3), each(ADDR1));
  return and(not(bit(frame, 0, CONTROL)), choose(bit(frame, 0, DATA), data, each(ADDR1)));
}

const isControl = (frame: Offset): Cond => equal(frame, 1, CONTROL, 0x0c);

/** Frames with a second address: not clear-to-send, not acknowledgement. */
function hasSecond(frame: Offset): Cond {
  const without = or(equal(frame, 1, 0xc0, 0xf0), equal(frame, 1, 0xd0, 0xf0));
  return choose(isControl(frame), not(without), TRUE);
}

/** An address at the place that a keyword names; undefined for a keyword that names none. */
export function wlanAddress(frame: Offset, dir: string, each: (at: number) => Cond): Cond | undefined {
  switch (dir) {
    case 'src':
      return source(frame, each);
    case 'dst':
      return destination(frame, each);
    case 'and':
      return and(source(frame, each), destination(frame, each));
    case '':
    case 'or':
      return or(source(frame, each), destination(frame, each));
    case 'addr1':
      return each(ADDR1);
    case 'addr2':
      return and(hasSecond(frame), each(ADDR2));
    case 'addr3':
      return and(not(isControl(frame)), each(ADDR3));
    case 'addr4':
      return and(equal(beyond(frame, 1), 1, 3, 3), each(ADDR4));
    case 'ra':
      return and(bit(frame, 0, DATA), each(ADDR1));
    case 'ta':
      return and(bit(frame, 0, DATA), and(hasSecond(frame), each(ADDR2)));
    default:
      return undefined;
  }
}

export const wlanMulticast = (frame: Offset): Cond => destination(frame, (at) => bit(frame, at, 1));

/** The radiotap header says its own length, in little-endian order: the word receives where the frame begins. */
export const radiotapLength = (word: number): Cond => ({
  kind: 'effect',
  steps: [
    [0x30, 3],
    [0x64, 8],
    [0x07, 0],
    [0x30, 2],
    [0x4c, 0],
    [0x02, word],
  ],
});

/** The word receives where the payload of a data frame begins: behind 24 bytes, two for QoS, and padding. */
export function payloadStart(frame: Offset, word: number, radiotap: boolean): Cond {
  const add: Step[] = [
    [0x60, word],
    [0x04, 2],
    [0x02, word],
  ];
  const start: Step[] =
    frame.slot === undefined
      ? [constant(HEADER)]
      : [
          [0x60, frame.slot],
          [0x04, HEADER],
        ];
  const qos: Cond = choose(bit(frame, 0, QOS), { kind: 'effect', steps: add }, TRUE);
  const padded: Cond = {
    kind: 'effect',
    steps: [
      [0x60, word],
      [0x04, 3],
      [0x54, 0xffff_fffc],
      [0x02, word],
    ],
  };
  const data = radiotap ? and(qos, choose(dataPad(), padded, TRUE)) : qos;
  return and({ kind: 'effect', steps: [...start, [0x02, word]] }, choose(isData(frame), data, TRUE));
}

/** The radiotap flags, when they are there, say that the header is filled up to four bytes. */
function dataPad(): Cond {
  const present = (mask: number): Cond => test(load({ slot: undefined, k: 4 }, 4), BPF_JSET, mask);
  const flag = (k: number): Cond => anyBit({ slot: undefined, k }, 1, 0x20);
  // Read in network order: flags are bit 1, the timestamp before them bit 0, more words follow with bit 31.
  const where = choose(present(0x0100_0000), flag(16), flag(8));
  return and(present(0x0200_0000), and(not(present(0x80)), where));
}
