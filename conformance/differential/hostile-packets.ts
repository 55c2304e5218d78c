/**
 * Frames that are wrong in many ways: real frames with bytes changed, cut, lengthened, tagged, with options, extension
 * headers and fragment fields put in; half of the time the IPv4 header checksum is made right again, so that the damage
 * reaches deeper layers. All from a seed.
 */
import type { Random } from '../../src/core/random.ts';
import { pick } from './packets.ts';
import type { Frame } from './peer.ts';

const ETHERNET = 14;

function sum(bytes: readonly number[], from: number, end: number): number {
  let s = 0;
  for (let i = from; i < end; i += 2) s += (bytes[i] << 8) | (i + 1 < end ? bytes[i + 1] : 0);
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return s ^ 0xffff;
}

/** Makes the IPv4 header checksum right, where there is a header. */
function repair(frame: number[], r: Random): void {
  if (frame[12] !== 8 || frame[13] !== 0 || frame.length < ETHERNET + 20) return;
  if (r.below(3) > 0) {
    const total = Math.min(0xffff, frame.length - ETHERNET);
    frame[16] = total >> 8;
    frame[17] = total & 255;
  }
  const end = ETHERNET + (frame[ETHERNET] & 15) * 4;
  if (end < ETHERNET + 20 || end > frame.length) return;
  frame[24] = frame[25] = 0;
  const value = sum(frame, ETHERNET, end);
  frame[24] = value >> 8;
  frame[25] = value & 255;
}

/** Puts bytes behind the IPv4 or IPv6 header: options, or an extension header. */
function extend(frame: number[], r: Random): void {
  const byte = (): number => r.below(256);
  if (frame[12] === 8 && frame[13] === 0 && frame[ETHERNET] === 0x45) {
    const words = 1 + r.below(10);
    const options = Array.from({ length: words * 4 }, () => pick(r, [0, 1, 1, 1, 1, 131, 148, 4, byte()]));
    frame.splice(ETHERNET + 20, 0, ...options);
    frame[ETHERNET] = 0x45 + words;
  } else if (frame[12] === 0x86 && frame[13] === 0xdd && frame.length >= ETHERNET + 40) {
    const kind = pick(r, [0, 43, 44, 60, 60, 0, 51]);
    const header = [
      frame[20],
      r.below(8) === 0 ? byte() : 0,
      ...Array.from({ length: 6 }, () => pick(r, [0, 0, 1, 4, 5, byte()])),
    ];
    if (kind === 44) {
      header[1] = 0;
      header[2] = r.below(4) === 0 ? byte() : 0;
      header[3] = pick(r, [0, 1, 8, 9, byte()]);
    } else if (r.below(2) === 0) header.splice(2, 6, 1, 4, 0, 0, 0, 0);
    frame.splice(ETHERNET + 40, 0, ...header);
    frame[20] = kind;
    const length = frame.length - ETHERNET - 40;
    frame[18] = length >> 8;
    frame[19] = length & 255;
  }
}

/** One frame, damaged. */
export function damage(hex: string, r: Random): string {
  const frame = [...Buffer.from(hex, 'hex')];
  for (let times = 1 + r.below(3); times > 0; times--) {
    switch (r.below(9)) {
      case 0:
        frame.length = Math.max(14, r.below(frame.length + 1));
        break;
      case 1:
        for (let n = r.below(40); n >= 0; n--) frame.push(r.below(256));
        break;
      case 2:
      case 3:
        extend(frame, r);
        break;
      case 4:
        // Fragment fields.
        if (frame[12] === 8 && frame.length > 22) {
          frame[20] = pick(r, [0, 0x20, 0x20, 0x40, 0x80, 0x1f, r.below(256)]);
          frame[21] = pick(r, [0, 1, 2, 3, 185, r.below(256)]);
        }
        break;
      case 5:
        // Something in the network header.
        if (frame.length > ETHERNET + 8)
          frame[ETHERNET + r.below(Math.min(40, frame.length - ETHERNET))] = r.below(256);
        break;
      case 6:
        frame[r.below(frame.length)] ^= 1 << r.below(8);
        break;
      case 7:
        if (r.below(4) === 0) frame.splice(12, 0, 0x81, 0, 0, r.below(2));
        break;
      default:
        frame[ETHERNET + r.below(Math.max(1, frame.length - ETHERNET))] = r.below(256);
    }
  }
  if (r.below(8) > 0) repair(frame, r);
  return Buffer.from(frame.map((b) => b ?? 0)).toString('hex');
}

/** A UDP or echo datagram in fragments, in order or not, some twice, some across others, some missing. */
export function fragments(id: number, r: Random): Frame[] {
  const side: 0 | 1 = r.below(2) === 0 ? 0 : 1;
  const v6 = r.below(2) === 0;
  const router = r.below(2) === 0;
  const there = router ? side : 1 - side;
  const src = v6 ? [0xfd, side, ...new Array<number>(13).fill(0), 2] : [10, 0, side, 2];
  const dst = v6 ? [0xfd, there, ...new Array<number>(13).fill(0), router ? 1 : 2] : [10, 0, there, router ? 1 : 2];
  const size = pick(r, [9, 24, 100, 600, 1400, 1472, 1600, 3000]);
  const body = Array.from({ length: size }, (_, i) => (i * 7 + id) & 255);
  // An echo request with a right checksum: what reaches the router is answered.
  body.splice(0, 8, v6 ? 128 : 8, 0, 0, 0, id >> 8, id & 255, 0, 1);
  const pseudo = v6 ? [...src, ...dst, 0, 0, size >> 8, size & 255, 0, 0, 0, 58] : [];
  const value = sum([...pseudo, ...body], 0, pseudo.length + size);
  body[2] = value >> 8;
  body[3] = value & 255;
  type Piece = { from: number; to: number; more: boolean };
  const pieces: Piece[] = [];
  for (let from = 0; from < size; ) {
    const to = Math.min(size, from + 8 * (1 + r.below(Math.max(1, Math.min(180, size >> 3)))));
    pieces.push({ from, to, more: to < size });
    from = to;
  }
  const wild = r.below(3) === 0;
  for (let n = wild ? 1 + r.below(3) : 0; n > 0; n--) {
    const at = r.below(pieces.length);
    const one = pieces[at];
    switch (r.below(6)) {
      case 0:
        pieces.splice(r.below(pieces.length + 1), 0, one);
        break;
      case 1:
        pieces.splice(at, 1);
        break;
      case 2:
        pieces.splice(at, 0, { ...one, from: Math.max(0, one.from - 8) });
        break;
      case 3:
        pieces.splice(at, 0, { ...one, to: Math.min(size, one.to + 8) });
        break;
      case 4:
        pieces[at] = { ...one, more: !one.more };
        break;
      default:
        pieces[at] = { ...one, to: Math.max(one.from, one.to - 1 - r.below(8)) };
    }
    if (pieces.length === 0) return [];
  }
  for (let n = r.below(3) === 0 ? pieces.length : 0; n > 0; n--) {
    const [i, j] = [r.below(pieces.length), r.below(pieces.length)];
    [pieces[i], pieces[j]] = [pieces[j], pieces[i]];
  }
  const df = r.below(4) === 0 ? 0x40 : 0;
  return pieces.map(({ from, to, more }) => {
    const data = body.slice(from, to);
    const offset = from >> 3;
    const mac = [2, 0, 0, 0, 0, side, 2, 0, 0, 0, 0, 0xa0 + side];
    let frame: number[];
    if (v6) {
      const field = (from & 0xfff8) | (more ? 1 : 0);
      const header = [58, 0, field >> 8, field & 255, 0, 0, id >> 8, id & 255];
      const length = data.length + 8;
      frame = [
        ...mac,
        0x86,
        0xdd,
        0x60,
        0,
        0,
        0,
        length >> 8,
        length & 255,
        44,
        64,
        ...src,
        ...dst,
        ...header,
        ...data,
      ];
    } else {
      const total = 20 + data.length;
      const flags = df | (more ? 0x20 : 0) | (offset >> 8);
      const header = [
        0x45,
        0,
        total >> 8,
        total & 255,
        id >> 8,
        id & 255,
        flags,
        offset & 255,
        64,
        1,
        0,
        0,
        ...src,
        ...dst,
      ];
      const check = sum(header, 0, 20);
      header[10] = check >> 8;
      header[11] = check & 255;
      frame = [...mac, 8, 0, ...header, ...data];
    }
    return [side, Buffer.from(frame).toString('hex')];
  });
}
