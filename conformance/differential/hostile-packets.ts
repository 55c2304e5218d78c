/**
 * Frames that are wrong in many ways: real frames with bytes changed, cut, lengthened, tagged, with options, extension
 * headers and fragment fields put in; half of the time the IPv4 header checksum is made right again, so that the damage
 * reaches deeper layers. All from a seed.
 */
import type { Random } from '../../src/core/random.ts';
import { pick } from './packets.ts';

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
