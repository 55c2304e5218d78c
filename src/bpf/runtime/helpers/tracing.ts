/**
 * Helpers of tracing programs: reading memory at an address that was found somewhere, and who is running. There are no
 * processes here: `bpf_get_current_comm` answers the name of the host that the event happened on.
 */
import { EFAULT, EINVAL } from '../../../core/errno.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Run } from '../run.ts';

/** Below this address lies nothing that a program may see. */
const FIRST_ADDRESS = 4096;

/** Copies up to `size` bytes; with nothing at the address the destination is cleared. */
function probeRead(run: Run, dst: number, size: number, from: number): number {
  const { u8 } = run;
  const to = dst >>> 0;
  const at = from >>> 0;
  const length = size >>> 0;
  if (run.hi(3) !== 0 || at < FIRST_ADDRESS || at + length > u8.length) {
    u8.fill(0, to, to + length);
    return -EFAULT;
  }
  u8.copyWithin(to, at, at + length);
  return 0;
}

/** Copies a string with its end; its length with the zero. */
function probeReadString(run: Run, dst: number, size: number, from: number): number {
  const { u8 } = run;
  const to = dst >>> 0;
  const at = from >>> 0;
  const room = size >>> 0;
  if (room === 0) return 0;
  if (run.hi(3) !== 0 || at < FIRST_ADDRESS || at >= u8.length) {
    u8.fill(0, to, to + room);
    return -EFAULT;
  }
  let length = 0;
  while (length < room - 1 && at + length < u8.length && u8[at + length] !== 0) length++;
  u8.copyWithin(to, at, at + length);
  u8[to + length] = 0;
  return length + 1;
}

/** User space has no memory here. */
function noUserMemory(run: Run, dst: number, size: number): number {
  run.u8.fill(0, dst >>> 0, (dst >>> 0) + (size >>> 0));
  return -EFAULT;
}

function currentComm(run: Run, buffer: number, size: number): number {
  const room = size >>> 0;
  if (room === 0) return -EINVAL;
  const { attached, u8 } = run;
  const host = typeof attached === 'object' && attached !== null && 'host' in attached ? String(attached.host) : '';
  const at = buffer >>> 0;
  u8.fill(0, at, at + room);
  for (let i = 0; i < Math.min(host.length, room - 1, 15); i++) u8[at + i] = host.charCodeAt(i);
  return 0;
}

const READ = { call: probeRead, wide: wide(3), ret: 'int' } as const;
const READ_STRING = { call: probeReadString, wide: wide(3), ret: 'int' } as const;
const USER = { call: noUserMemory, ret: 'int' } as const;

export const tracingHelpers: HelperTable = new Map<number, HelperImpl>([
  [4, READ],
  [45, READ_STRING],
  [113, READ],
  [115, READ_STRING],
  [112, USER],
  [114, USER],
  [16, { call: currentComm, ret: 'int' }],
]);
