/**
 * Classic pcap files (draft-ietf-opsawg-pcap): both byte orders, microseconds and nanoseconds. `capture.ts` reads either
 * kind of file.
 *
 *     magic 4 | version 2+2 | zone 4 | sigfigs 4 | snaplen 4 | link type 4 | { seconds 4, fraction 4, caplen 4, len 4, bytes }
 */

import { type ByteSource, sourceOf, viewOf } from './byte-source.ts';

export const LINKTYPE_ETHERNET = 1;
/** Raw IP, version by its first four bits. */
export const LINKTYPE_RAW = 101;

/** One captured packet. */
export type CapturedPacket = {
  /** Nanoseconds since 1970. */
  readonly timeNs: bigint;
  readonly bytes: Uint8Array;
  /** Bytes the packet had on the wire; `bytes` may be fewer. */
  readonly length: number;
  readonly linkType: number;
  /** Interface name, when the file has one. */
  readonly dev?: string;
  /** Whether the interface received or sent it, when the file says so. */
  readonly direction?: 'in' | 'out';
  readonly comments?: readonly string[];
};

/** A file that is no capture, or ends in the middle: what is wrong and at which byte. `packets` are those before it. */
export class CaptureError extends Error {
  readonly problem: string;
  readonly offset: number;
  readonly packets: readonly CapturedPacket[];

  constructor(problem: string, offset: number, packets: readonly CapturedPacket[] = []) {
    super(`${problem}, at byte ${offset}`);
    this.name = 'CaptureError';
    this.problem = problem;
    this.offset = offset;
    this.packets = packets;
  }
}

/** All packets; an error on the way gets those before it. */
export function collect(packets: Iterable<CapturedPacket>): CapturedPacket[] {
  const out: CapturedPacket[] = [];
  try {
    for (const packet of packets) out.push(packet);
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    throw new CaptureError(error.problem, error.offset, out);
  }
  return out;
}

const MICRO = 0xa1b2c3d4;
const NANO = 0xa1b23c4d;
/** No packet is longer; a larger length field is damage, not data (libpcap's MAXIMUM_SNAPLEN). */
export const MAX_PACKET = 262_144;

/** Byte order and time unit by the file's first four bytes; undefined for other files. */
function order(dv: DataView): { little: boolean; nano: boolean } | undefined {
  if (dv.byteLength < 4) return undefined;
  for (const little of [true, false]) {
    const magic = dv.getUint32(0, little);
    if (magic === MICRO || magic === NANO) return { little, nano: magic === NANO };
  }
  return undefined;
}

/** True when the bytes begin as a classic pcap file. */
export function isPcap(bytes: Uint8Array): boolean {
  return order(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)) !== undefined;
}

/** The packets of a file, read as they are asked for. Throws a CaptureError that says where. */
export function* pcapPackets(source: ByteSource): Generator<CapturedPacket, void> {
  const start = source.at;
  const head = viewOf(source.take(24));
  const kind = order(head);
  if (kind === undefined) throw new CaptureError('not a pcap file: unknown magic number', start);
  if (head.byteLength < 24) throw new CaptureError(`truncated file header: ${head.byteLength} of 24 bytes`, source.at);
  const { little, nano } = kind;
  const linkType = head.getUint32(20, little) & 0x0fffffff;
  for (let n = 1; ; n++) {
    const at = source.at;
    const dv = viewOf(source.take(16));
    if (dv.byteLength === 0) return;
    if (dv.byteLength < 16) throw new CaptureError(`truncated header of packet ${n}: ${dv.byteLength} of 16 bytes`, at);
    const caplen = dv.getUint32(8, little);
    if (caplen > MAX_PACKET) throw new CaptureError(`packet ${n} claims ${caplen} captured bytes`, at + 8);
    const bytes = source.take(caplen);
    if (bytes.length < caplen)
      throw new CaptureError(`truncated packet ${n}: ${bytes.length} of ${caplen} bytes`, at + 16);
    const fraction = BigInt(dv.getUint32(4, little));
    yield {
      timeNs: BigInt(dv.getUint32(0, little)) * 1_000_000_000n + (nano ? fraction : fraction * 1000n),
      bytes,
      length: dv.getUint32(12, little),
      linkType,
    };
  }
}

/** Reads a whole file. Throws a CaptureError that says where, with the packets before that place. */
export function readPcap(bytes: Uint8Array): CapturedPacket[] {
  return collect(pcapPackets(sourceOf(bytes)));
}

/** Writes a file with nanoseconds, little-endian. All packets have the link type of the first. */
export function writePcap(packets: readonly CapturedPacket[], snaplen: number = MAX_PACKET): Uint8Array {
  const total = packets.reduce((sum, p) => sum + 16 + p.bytes.length, 24);
  const out = new Uint8Array(total);
  const dv = new DataView(out.buffer);
  dv.setUint32(0, NANO, true);
  dv.setUint16(4, 2, true);
  dv.setUint16(6, 4, true);
  dv.setUint32(16, snaplen, true);
  dv.setUint32(20, packets[0]?.linkType ?? LINKTYPE_ETHERNET, true);
  let at = 24;
  for (const p of packets) {
    dv.setUint32(at, Number(p.timeNs / 1_000_000_000n), true);
    dv.setUint32(at + 4, Number(p.timeNs % 1_000_000_000n), true);
    dv.setUint32(at + 8, p.bytes.length, true);
    dv.setUint32(at + 12, p.length, true);
    out.set(p.bytes, at + 16);
    at += 16 + p.bytes.length;
  }
  return out;
}
