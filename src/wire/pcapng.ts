/**
 * pcapng files (draft-ietf-opsawg-pcapng): reads section, interface, enhanced, simple and obsolete packet blocks of both
 * byte orders and any time resolution, skips name resolution, statistics, secrets and custom blocks; writes interface
 * blocks and enhanced packet blocks with comments.
 *
 *     block: type 4 | total length 4 | body, padded to 4 | total length 4      option: code 2 | length 2 | value, padded to 4
 */
import { type CapturedPacket, CaptureError, LINKTYPE_ETHERNET, MAX_PACKET } from './pcap.ts';

const SECTION = 0x0a0d0d0a;
const INTERFACE = 1;
const PACKET = 2;
const SIMPLE = 3;
const ENHANCED = 6;
const BYTE_ORDER = 0x1a2b3c4d;

const OPT_END = 0;
const OPT_COMMENT = 1;
const IF_NAME = 2;
const IF_TSRESOL = 9;
const IF_TSOFFSET = 14;
const SHB_APPLICATION = 4;

type Interface = {
  readonly linkType: number;
  readonly snaplen: number;
  readonly dev?: string;
  /** Ticks to nanoseconds. */
  readonly toNs: (ticks: bigint) => bigint;
};

/** True when the bytes begin as a pcapng file. */
export function isPcapng(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) === SECTION;
}

type TextOptions = ReadonlyMap<number, readonly Uint8Array[]>;

function readOptions(bytes: Uint8Array, dv: DataView, at: number, end: number, little: boolean): TextOptions {
  const out = new Map<number, Uint8Array[]>();
  while (at + 4 <= end) {
    const code = dv.getUint16(at, little);
    const length = dv.getUint16(at + 2, little);
    if (code === OPT_END) break;
    if (at + 4 + length > end)
      throw new CaptureError(`option ${code} claims ${length} bytes, ${end - at - 4} are left`, at);
    out.set(code, [...(out.get(code) ?? []), bytes.slice(at + 4, at + 4 + length)]);
    at += 4 + ((length + 3) & ~3);
  }
  return out;
}

/** Ticks of an interface to nanoseconds (options if_tsresol and if_tsoffset; microseconds without them). */
function clock(options: TextOptions, little: boolean): (ticks: bigint) => bigint {
  const resolution = options.get(IF_TSRESOL)?.[0]?.[0] ?? 6;
  const perSecond = resolution & 0x80 ? 1n << BigInt(resolution & 0x7f) : 10n ** BigInt(resolution);
  const raw = options.get(IF_TSOFFSET)?.[0];
  const offset = raw?.length === 8 ? new DataView(raw.buffer).getBigInt64(0, little) * 1_000_000_000n : 0n;
  return (ticks) => (ticks * 1_000_000_000n) / perSecond + offset;
}

/** Reads a whole file. Throws a CaptureError that says where. */
export function readPcapng(bytes: Uint8Array): CapturedPacket[] {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const packets: CapturedPacket[] = [];
  const text = new TextDecoder();
  let interfaces: Interface[] = [];
  let little = true;
  let at = 0;
  const fail = (problem: string, offset: number): never => {
    throw new CaptureError(problem, offset, packets);
  };
  if (!isPcapng(bytes)) fail('not a pcapng file: no section header', 0);
  while (at < bytes.length) {
    if (at + 12 > bytes.length) fail(`truncated block header: ${bytes.length - at} of 12 bytes`, at);
    const isSection = dv.getUint32(at) === SECTION;
    if (isSection) {
      const big = dv.getUint32(at + 8);
      little = big !== BYTE_ORDER;
      if (little && dv.getUint32(at + 8, true) !== BYTE_ORDER) fail('unknown byte-order magic', at + 8);
      interfaces = [];
    }
    const type = dv.getUint32(at, little);
    const length = dv.getUint32(at + 4, little);
    if (length < 12 || length % 4 !== 0) fail(`impossible block length ${length}`, at + 4);
    if (at + length > bytes.length)
      fail(`truncated block of type ${type}: ${bytes.length - at} of ${length} bytes`, at);
    const body = at + 8;
    const end = at + length - 4;
    const need = (n: number): void => {
      if (body + n > end) fail(`block of type ${type} is too short: ${end - body} of ${n} bytes`, body);
    };
    const device = (index: number): Interface =>
      interfaces[index] ?? fail(`interface ${index} was not described`, body);
    const packet = (
      dev: Interface,
      start: number,
      caplen: number,
      size: number,
      ticks: bigint,
      commented: boolean,
    ): void => {
      if (caplen > MAX_PACKET) fail(`packet ${packets.length + 1} claims ${caplen} captured bytes`, start - 8);
      if (start + caplen > end)
        fail(`packet ${packets.length + 1} claims ${caplen} bytes, its block has ${end - start}`, start);
      const options = commented ? readOptions(bytes, dv, start + ((caplen + 3) & ~3), end, little) : undefined;
      const comments = options?.get(OPT_COMMENT)?.map((c) => text.decode(c));
      packets.push({
        timeNs: dev.toNs(ticks),
        bytes: bytes.slice(start, start + caplen),
        length: size,
        linkType: dev.linkType,
        ...(dev.dev !== undefined && { dev: dev.dev }),
        ...(comments && { comments }),
      });
    };
    if (type === INTERFACE) {
      need(8);
      const options = readOptions(bytes, dv, body + 8, end, little);
      const name = options.get(IF_NAME)?.[0];
      interfaces.push({
        linkType: dv.getUint16(body, little),
        snaplen: dv.getUint32(body + 4, little) || MAX_PACKET,
        ...(name && { dev: text.decode(name) }),
        toNs: clock(options, little),
      });
    } else if (type === ENHANCED || type === PACKET) {
      need(20);
      const index = type === ENHANCED ? dv.getUint32(body, little) : dv.getUint16(body, little);
      const ticks = (BigInt(dv.getUint32(body + 4, little)) << 32n) | BigInt(dv.getUint32(body + 8, little));
      packet(device(index), body + 20, dv.getUint32(body + 12, little), dv.getUint32(body + 16, little), ticks, true);
    } else if (type === SIMPLE) {
      need(4);
      const size = dv.getUint32(body, little);
      const dev = device(0);
      packet(dev, body + 4, Math.min(size, dev.snaplen), size, 0n, false);
    }
    at += length;
  }
  return packets;
}

/** A pcapng file, block by block: interfaces as they turn up, packets with comments. */
export class PcapngWriter {
  readonly #parts: Uint8Array[] = [];
  readonly #interfaces = new Map<string, number>();

  constructor(application = 'netloom') {
    const head = new Uint8Array(16);
    const dv = new DataView(head.buffer);
    dv.setUint32(0, BYTE_ORDER, true);
    dv.setUint16(4, 1, true);
    dv.setBigInt64(8, -1n, true);
    this.#block(SECTION, head, [[SHB_APPLICATION, application]]);
  }

  /** Describes an interface, with times in nanoseconds; returns its number. The same name gives the same number. */
  interface(name: string, linkType: number = LINKTYPE_ETHERNET): number {
    const known = this.#interfaces.get(name);
    if (known !== undefined) return known;
    const head = new Uint8Array(8);
    new DataView(head.buffer).setUint16(0, linkType, true);
    this.#block(INTERFACE, head, [
      [IF_NAME, name],
      [IF_TSRESOL, Uint8Array.of(9)],
    ]);
    const index = this.#interfaces.size;
    this.#interfaces.set(name, index);
    return index;
  }

  /** Adds a packet on an interface; `comments` are what tshark shows as packet comments. */
  packet(
    index: number,
    timeNs: bigint,
    bytes: Uint8Array,
    comments: readonly string[] = [],
    length: number = bytes.length,
  ): void {
    const body = new Uint8Array(20 + ((bytes.length + 3) & ~3));
    const dv = new DataView(body.buffer);
    dv.setUint32(0, index, true);
    dv.setUint32(4, Number(timeNs >> 32n), true);
    dv.setUint32(8, Number(timeNs & 0xffffffffn), true);
    dv.setUint32(12, bytes.length, true);
    dv.setUint32(16, length, true);
    body.set(bytes, 20);
    this.#block(
      ENHANCED,
      body,
      comments.map((c) => [OPT_COMMENT, c]),
    );
  }

  /** What has been written since the last call: append it to the file. */
  take(): Uint8Array {
    const out = new Uint8Array(this.#parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#parts.splice(0)) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }

  #block(type: number, body: Uint8Array, options: readonly (readonly [number, string | Uint8Array])[]): void {
    const encoded = options.map(([code, value]) => {
      const data = typeof value === 'string' ? new TextEncoder().encode(value) : value;
      const out = new Uint8Array(4 + ((data.length + 3) & ~3));
      const dv = new DataView(out.buffer);
      dv.setUint16(0, code, true);
      dv.setUint16(2, data.length, true);
      out.set(data, 4);
      return out;
    });
    if (encoded.length > 0) encoded.push(new Uint8Array(4));
    const length = encoded.reduce((sum, part) => sum + part.length, body.length + 12);
    const out = new Uint8Array(length);
    const dv = new DataView(out.buffer);
    dv.setUint32(0, type, true);
    dv.setUint32(4, length, true);
    out.set(body, 8);
    let at = 8 + body.length;
    for (const part of encoded) {
      out.set(part, at);
      at += part.length;
    }
    dv.setUint32(length - 4, length, true);
    this.#parts.push(out);
  }
}

/** Writes a whole file. */
export function writePcapng(packets: readonly CapturedPacket[]): Uint8Array {
  const writer = new PcapngWriter();
  for (const p of packets)
    writer.packet(writer.interface(p.dev ?? 'capture', p.linkType), p.timeNs, p.bytes, p.comments ?? [], p.length);
  return writer.take();
}
