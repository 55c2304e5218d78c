/**
 * pcapng files (draft-ietf-opsawg-pcapng): reads section, interface, enhanced, simple and obsolete packet blocks of both
 * byte orders and any time resolution, skips name resolution, statistics, secrets and custom blocks; writes interface
 * blocks and enhanced packet blocks with comments.
 *
 *     block: type 4 | total length 4 | body, padded to 4 | total length 4      option: code 2 | length 2 | value, padded to 4
 */
import { type ByteSource, sourceOf, viewOf } from './byte-source.ts';
import { type CapturedPacket, CaptureError, collect, LINKTYPE_ETHERNET, MAX_PACKET } from './pcap.ts';

const SECTION = 0x0a0d0d0a;
const INTERFACE = 1;
const PACKET = 2;
const SIMPLE = 3;
const ENHANCED = 6;
const BYTE_ORDER = 0x1a2b3c4d;

const OPT_END = 0;
const OPT_COMMENT = 1;
/** Same code as if_name: options belong to their block. */
const EPB_FLAGS = 2;
const DIRECTIONS = [undefined, 'in', 'out', undefined] as const;
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

function readOptions({ bytes, dv, at: origin, little }: Block, from: number): TextOptions {
  const out = new Map<number, Uint8Array[]>();
  const end = bytes.length;
  for (let at = from; at + 4 <= end; ) {
    const code = dv.getUint16(at, little);
    const length = dv.getUint16(at + 2, little);
    if (code === OPT_END) break;
    if (at + 4 + length > end)
      throw new CaptureError(`option ${code} claims ${length} bytes, ${end - at - 4} are left`, origin + at);
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

/** Longest block that is believed: a larger one is damage. */
const MAX_BLOCK = 1 << 26;

/** The packets of a file, read as they are asked for. Throws a CaptureError that says where. */
export function* pcapngPackets(source: ByteSource): Generator<CapturedPacket, void> {
  const text = new TextDecoder();
  let interfaces: Interface[] = [];
  let little = true;
  let count = 0;
  for (let first = true; ; first = false) {
    const at = source.at;
    const head = source.take(12);
    if (first && !isPcapng(head)) throw new CaptureError('not a pcapng file: no section header', at);
    if (head.length === 0) return;
    if (head.length < 12) throw new CaptureError(`truncated block header: ${head.length} of 12 bytes`, at);
    const headView = viewOf(head);
    if (headView.getUint32(0) === SECTION) {
      little = headView.getUint32(8) !== BYTE_ORDER;
      if (little && headView.getUint32(8, true) !== BYTE_ORDER)
        throw new CaptureError('unknown byte-order magic', at + 8);
      interfaces = [];
    }
    const type = headView.getUint32(0, little);
    const length = headView.getUint32(4, little);
    if (length < 12 || length % 4 !== 0 || length > MAX_BLOCK)
      throw new CaptureError(`impossible block length ${length}`, at + 4);
    const rest = source.take(length - 12);
    if (rest.length < length - 12)
      throw new CaptureError(`truncated block of type ${type}: ${rest.length + 12} of ${length} bytes`, at);
    // The body without the length at the end; the first word of the body came with the header.
    const body = new Uint8Array(length - 12);
    if (length > 12) {
      body.set(head.subarray(8));
      body.set(rest.subarray(0, length - 16), 4);
    }
    const block: Block = { type, at: at + 8, bytes: body, dv: viewOf(body), little };
    if (type === INTERFACE) interfaces.push(readInterface(block, text));
    else if (type === ENHANCED || type === PACKET || type === SIMPLE) {
      count++;
      yield readPacket(block, interfaces, count, text);
    }
  }
}

/** One block, without the words around its body. */
type Block = {
  readonly type: number;
  /** Place of the body in the file. */
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly dv: DataView;
  readonly little: boolean;
};

function need({ type, at, bytes }: Block, n: number): void {
  if (bytes.length < n) throw new CaptureError(`block of type ${type} is too short: ${bytes.length} of ${n} bytes`, at);
}

function readInterface(block: Block, text: TextDecoder): Interface {
  need(block, 8);
  const { dv, little } = block;
  const options = readOptions(block, 8);
  const name = options.get(IF_NAME)?.[0];
  return {
    linkType: dv.getUint16(0, little),
    snaplen: dv.getUint32(4, little) || MAX_PACKET,
    ...(name && { dev: text.decode(name) }),
    toNs: clock(options, little),
  };
}

function readPacket(block: Block, interfaces: readonly Interface[], number: number, text: TextDecoder): CapturedPacket {
  const { type, at, bytes, dv, little } = block;
  const simple = type === SIMPLE;
  need(block, simple ? 4 : 20);
  const index = simple ? 0 : type === ENHANCED ? dv.getUint32(0, little) : dv.getUint16(0, little);
  const dev = interfaces[index];
  if (dev === undefined) throw new CaptureError(`interface ${index} was not described`, at);
  const start = simple ? 4 : 20;
  const length = dv.getUint32(simple ? 0 : 16, little);
  const caplen = simple ? Math.min(length, dev.snaplen) : dv.getUint32(12, little);
  const ticks = simple ? 0n : (BigInt(dv.getUint32(4, little)) << 32n) | BigInt(dv.getUint32(8, little));
  if (caplen > MAX_PACKET) throw new CaptureError(`packet ${number} claims ${caplen} captured bytes`, at + start - 8);
  if (start + caplen > bytes.length)
    throw new CaptureError(
      `packet ${number} claims ${caplen} bytes, its block has ${bytes.length - start}`,
      at + start,
    );
  const options: TextOptions = simple ? new Map() : readOptions(block, start + ((caplen + 3) & ~3));
  const comments = options.get(OPT_COMMENT)?.map((c) => text.decode(c));
  const flags = options.get(EPB_FLAGS)?.[0];
  const direction = flags?.length === 4 ? DIRECTIONS[viewOf(flags).getUint32(0, little) & 3] : undefined;
  return {
    timeNs: dev.toNs(ticks),
    bytes: bytes.slice(start, start + caplen),
    length,
    linkType: dev.linkType,
    ...(dev.dev !== undefined && { dev: dev.dev }),
    ...(direction && { direction }),
    ...(comments && { comments }),
  };
}

/** Reads a whole file. Throws a CaptureError that says where, with the packets before that place. */
export function readPcapng(bytes: Uint8Array): CapturedPacket[] {
  return collect(pcapngPackets(sourceOf(bytes)));
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
    direction?: 'in' | 'out',
  ): void {
    const body = new Uint8Array(20 + ((bytes.length + 3) & ~3));
    const dv = new DataView(body.buffer);
    dv.setUint32(0, index, true);
    dv.setUint32(4, Number(timeNs >> 32n), true);
    dv.setUint32(8, Number(timeNs & 0xffffffffn), true);
    dv.setUint32(12, bytes.length, true);
    dv.setUint32(16, length, true);
    body.set(bytes, 20);
    this.#block(ENHANCED, body, [
      ...(direction === undefined ? [] : ([[EPB_FLAGS, Uint8Array.of(direction === 'in' ? 1 : 2, 0, 0, 0)]] as const)),
      ...comments.map((c) => [OPT_COMMENT, c] as const),
    ]);
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
    writer.packet(
      writer.interface(p.dev ?? 'capture', p.linkType),
      p.timeNs,
      p.bytes,
      p.comments ?? [],
      p.length,
      p.direction,
    );
  return writer.take();
}
