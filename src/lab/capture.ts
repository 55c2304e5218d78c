/**
 * Captures of a device as pcapng: every frame in and out, and on frames that were dropped a comment with the reason.
 */
import { dropName } from '../core/drop.ts';
import type { World } from '../core/world.ts';
import type { NetDevice } from '../device/device.ts';
import { PcapngWriter } from '../wire/pcapng.ts';

type Frame = { readonly at: number; readonly bytes: Uint8Array; comment: string | undefined };

/** Frames kept by one capture. */
const LIMIT = 100_000;

export class Capture {
  readonly #world: World;
  readonly #name: string;
  readonly #host: string;
  readonly #frames: Frame[] = [];
  // The last frame recorded under each packet handle: a drop is told by handle.
  readonly #last = new Map<number, Frame>();
  readonly #stop: () => void;

  constructor(world: World, host: string, dev: NetDevice) {
    this.#world = world;
    this.#host = host;
    this.#name = dev.name;
    const tap = (p: number, outgoing: boolean): void => this.#record(p, outgoing);
    dev.taps.add(tap);
    this.#stop = (): void => {
      dev.taps.delete(tap);
    };
  }

  /** Frames so far. */
  get length(): number {
    return this.#frames.length;
  }

  #record(p: number, outgoing: boolean): void {
    if (this.#frames.length >= LIMIT) return;
    const { slab } = this.#world;
    const frame: Frame = {
      at: this.#world.now,
      bytes: withTag(slab.bytes(p), slab.vlanProto(p), slab.vlanTci(p)),
      comment: undefined,
    };
    this.#frames.push(frame);
    if (!outgoing) this.#last.set(p, frame);
  }

  /** The world drops a packet. */
  dropped(p: number, reason: number, host: string): void {
    if (host !== this.#host) return;
    const frame = this.#last.get(p);
    if (frame === undefined) return;
    const rule = this.#world.slab.dropRule(p);
    frame.comment = `dropped: ${dropName(reason)}${rule === 0 ? '' : `, rule handle ${rule}`}`;
    this.#last.delete(p);
  }

  /** Ends the capture; what was captured stays. */
  stop(): void {
    this.#stop();
  }

  /** The capture as a pcapng file. */
  bytes(): Uint8Array {
    const writer = new PcapngWriter();
    const index = writer.interface(this.#name);
    const epoch = BigInt(this.#world.epochMs) * 1_000_000n;
    for (const frame of this.#frames)
      writer.packet(
        index,
        epoch + BigInt(Math.round(frame.at)),
        frame.bytes,
        frame.comment === undefined ? [] : [frame.comment],
      );
    return writer.take();
  }
}

// A VLAN tag that travels beside the frame belongs into the capture.
function withTag(bytes: Uint8Array, proto: number, tci: number): Uint8Array {
  if (proto === 0) return bytes;
  const out = new Uint8Array(bytes.length + 4);
  out.set(bytes.subarray(0, 12));
  const dv = new DataView(out.buffer);
  dv.setUint16(12, proto);
  dv.setUint16(14, tci);
  out.set(bytes.subarray(12), 16);
  return out;
}
