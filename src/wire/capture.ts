/** Capture files of either kind, told apart by their first bytes. */
import { type CapturedPacket, CaptureError, isPcap, readPcap } from './pcap.ts';
import { isPcapng, readPcapng } from './pcapng.ts';

/** True for pcap and pcapng files. */
export function isCapture(bytes: Uint8Array): boolean {
  return isPcap(bytes) || isPcapng(bytes);
}

/** All packets of a capture file. Throws a CaptureError that says where the file is damaged. */
export function readCapture(bytes: Uint8Array): CapturedPacket[] {
  if (isPcapng(bytes)) return readPcapng(bytes);
  if (isPcap(bytes)) return readPcap(bytes);
  throw new CaptureError('neither a pcap nor a pcapng file', 0);
}
