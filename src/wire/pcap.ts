/**
 * Classic pcap files (draft-ietf-opsawg-pcap): both byte orders, microseconds and nanoseconds. `capture.ts` reads either
 * kind of file.
 *
 *     magic 4 | version 2+2 | zone 4 | sigfigs 4 | snaplen 4 | link type 4 | { seconds 4, fraction 4, caplen 4, len 4, bytes }
 */

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
  readonly comments?: readonly string[];
};

/** A file that is no capture, or ends in the middle: what is wrong and at which byte. `packets` are those before it. */
export class CaptureError extends Error {
  readonly offset: number;
  readonly packets: readonly CapturedPacket[];

  constructor(problem: string, offset: number, packets: readonly CapturedPacket[] = []) {
    super(`${problem}, at byte ${offset}`);
    this.name = 'CaptureError';
    this.offset = offset;
    this.packets = packets;
  }
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

/** Reads a whole file. Throws a CaptureError that says where. */
export function readPcap(bytes: Uint8Array): CapturedPacket[] {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kind = order(dv);
  if (kind === undefined) throw new CaptureError('not a pcap file: unknown magic number', 0);
  if (bytes.length < 24) throw new CaptureError(`truncated file header: ${bytes.length} of 24 bytes`, bytes.length);
  const { little, nano } = kind;
  const linkType = dv.getUint32(20, little) & 0x0fffffff;
  const packets: CapturedPacket[] = [];
  for (let at = 24; at < bytes.length; ) {
    if (at + 16 > bytes.length)
      throw new CaptureError(
        `truncated header of packet ${packets.length + 1}: ${bytes.length - at} of 16 bytes`,
        at,
        packets,
      );
    const caplen = dv.getUint32(at + 8, little);
    if (caplen > MAX_PACKET)
      throw new CaptureError(`packet ${packets.length + 1} claims ${caplen} captured bytes`, at + 8, packets);
    if (at + 16 + caplen > bytes.length)
      throw new CaptureError(
        `truncated packet ${packets.length + 1}: ${bytes.length - at - 16} of ${caplen} bytes`,
        at + 16,
        packets,
      );
    const fraction = BigInt(dv.getUint32(at + 4, little));
    packets.push({
      timeNs: BigInt(dv.getUint32(at, little)) * 1_000_000_000n + (nano ? fraction : fraction * 1000n),
      bytes: bytes.slice(at + 16, at + 16 + caplen),
      length: dv.getUint32(at + 12, little),
      linkType,
    });
    at += 16 + caplen;
  }
  return packets;
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
