/** Capture files of either kind, told apart by their first bytes. */
import { type ByteSource, sourceOf } from './byte-source.ts';
import { type CapturedPacket, CaptureError, collect, isPcap, pcapPackets } from './pcap.ts';
import { isPcapng, pcapngPackets } from './pcapng.ts';

/** True for pcap and pcapng files. */
export function isCapture(bytes: Uint8Array): boolean {
  return isPcap(bytes) || isPcapng(bytes);
}

/**
 * The packets of a capture file of either kind, read as they are asked for. Throws a CaptureError that says where the
 * file is damaged.
 */
export function* capturePackets(source: ByteSource): Generator<CapturedPacket, void> {
  const start = source.take(4);
  const whole = before(start, source);
  if (isPcapng(start)) yield* pcapngPackets(whole);
  else if (isPcap(start)) yield* pcapPackets(whole);
  else throw new CaptureError('neither a pcap nor a pcapng file', 0);
}

/** All packets of a capture file. Throws a CaptureError that says where the file is damaged. */
export function readCapture(bytes: Uint8Array): CapturedPacket[] {
  return collect(capturePackets(sourceOf(bytes)));
}

/** A source with bytes put back in front of it. */
function before(start: Uint8Array, rest: ByteSource): ByteSource {
  let at = 0;
  return {
    get at() {
      return at < start.length ? at : rest.at;
    },
    take(n) {
      const head = start.slice(at, at + n);
      at += head.length;
      if (head.length === n) return head;
      const tail = rest.take(n - head.length);
      const out = new Uint8Array(head.length + tail.length);
      out.set(head);
      out.set(tail, head.length);
      return head.length === 0 ? tail : out;
    },
  };
}
