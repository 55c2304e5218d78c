/**
 * BPF_MAP_TYPE_RINGBUF (Documentation/bpf/ringbuf.rst) and BPF_MAP_TYPE_USER_RINGBUF: records of any size from programs to
 * user space, and the other way.
 *
 * The kernel maps the data twice, one after the other, so that a record never wraps. Here the data has twice its size, and a
 * record that begins near the end simply reaches into the second half; whoever reads starts from the same place.
 */
import { E2BIG, EAGAIN, EBUSY, EINVAL, ENODATA, ENOSPC } from '../../core/errno.ts';
import type { MapCore } from './core.ts';
import * as layout from './layout.ts';
import type { Ring } from './map.ts';

const NO_WAKEUP = 1;
const FORCE_WAKEUP = 2;
const RECORD_MAX = 0x3fff_ffff;
/** Records that one bpf_user_ringbuf_drain hands over. */
const DRAIN_MAX = 131_072;
const LENGTH: number = ~(layout.RING_BUSY | layout.RING_DISCARD) >>> 0;

// What bpf_ringbuf_query asks for.
const AVAIL_DATA = 0;
const RING_SIZE = 1;
const CONS_POS = 2;
const PROD_POS = 3;

export function ringBuffer(core: MapCore): Ring {
  const { u8, u32, dv } = core;
  const size = core.spec.maxEntries;
  const mask = size - 1;
  const data = core.alloc(size * 2, 4096);
  const positions = core.alloc(16);
  core.set(layout.MAP_RING_DATA, data);
  core.set(layout.MAP_RING_MASK, mask);
  core.set(layout.MAP_RING_POSITIONS, positions);
  const id = u32[(core.address >>> 2) + layout.MAP_ID];
  let consumer = 0;
  let producer = 0;
  /** The oldest record that is not committed. */
  let pending = 0;
  let draining = false;

  const setConsumer = (position: number): void => {
    consumer = position;
    dv.setBigUint64(positions, BigInt(position), true);
  };
  const setProducer = (position: number): void => {
    producer = position;
    dv.setBigUint64(positions + 8, BigInt(position), true);
  };
  // The sizes are powers of two and positions below 2^53: no 32-bit operator on a whole position.
  const at = (position: number): number => data + (position % size);
  const whole = (length: number): number => layout.round8(length + layout.RING_HEADER);

  const reserve = (length: number, flags: number): number => {
    if (flags !== 0 || length < 0 || length > RECORD_MAX) return 0;
    const bytes = whole(length);
    if (bytes > size) return 0;
    while (pending < producer) {
      const header = u32[at(pending) >>> 2];
      if ((header & layout.RING_BUSY) !== 0) break;
      pending += whole(header & LENGTH);
    }
    const end = producer + bytes;
    if (end - consumer > mask || end - pending > mask) return 0;
    const record = at(producer);
    u32[record >>> 2] = (length | layout.RING_BUSY) >>> 0;
    u32[(record >>> 2) + 1] = id;
    setProducer(end);
    return record + layout.RING_HEADER;
  };

  const commit = (sampleAt: number, flags: number, discard: boolean): void => {
    const record = sampleAt - layout.RING_HEADER;
    const length = u32[record >>> 2] & LENGTH;
    u32[record >>> 2] = (discard ? length | layout.RING_DISCARD : length) >>> 0;
    const caughtUp = at(consumer) === record;
    if ((flags & FORCE_WAKEUP) !== 0 || (caughtUp && (flags & NO_WAKEUP) === 0)) ring.onWake?.();
  };

  const ring: Ring = {
    reserve,
    submit: (sampleAt, flags) => commit(sampleAt, flags, false),
    discard: (sampleAt, flags) => commit(sampleAt, flags, true),
    output: (dataAt, length, flags) => {
      if ((flags & ~(NO_WAKEUP | FORCE_WAKEUP)) !== 0) return -EINVAL;
      const sample = reserve(length, 0);
      if (sample === 0) return -EAGAIN;
      u8.copyWithin(sample, dataAt, dataAt + length);
      commit(sample, flags, false);
      return 0;
    },
    query: (what) => {
      if (what === AVAIL_DATA) return producer - consumer;
      if (what === RING_SIZE) return size;
      if (what === CONS_POS) return consumer;
      return what === PROD_POS ? producer : 0;
    },
    consume: (visit) => {
      let count = 0;
      while (consumer < producer) {
        const record = at(consumer);
        const header = u32[record >>> 2];
        if ((header & layout.RING_BUSY) !== 0) break;
        const length = header & LENGTH;
        const sample = record + layout.RING_HEADER;
        let stop = false;
        if ((header & layout.RING_DISCARD) === 0) {
          count++;
          stop = (visit(u8.subarray(sample, sample + length)) ?? 0) !== 0;
        }
        setConsumer(consumer + whole(length));
        if (stop) break;
      }
      return count;
    },
    onWake: undefined,
    produce: (bytes) => {
      if (whole(bytes.length) > size) return -E2BIG;
      if (producer - consumer + whole(bytes.length) > size) return -ENOSPC;
      const record = at(producer);
      u32[record >>> 2] = bytes.length;
      u32[(record >>> 2) + 1] = id;
      u8.set(bytes, record + layout.RING_HEADER);
      setProducer(producer + whole(bytes.length));
      return 0;
    },
    drain: (visit, flags) => {
      if ((flags & ~(NO_WAKEUP | FORCE_WAKEUP)) !== 0) return -EINVAL;
      if (draining) return -EBUSY;
      draining = true;
      let count = 0;
      let result = 0;
      for (let n = 0; n < DRAIN_MAX && result === 0; n++) {
        const sample = peek();
        if (sample === -ENODATA) break;
        if (sample < 0) {
          draining = false;
          return sample;
        }
        const length = u32[(sample - layout.RING_HEADER) >>> 2] & LENGTH;
        result = visit(sample, length);
        setConsumer(consumer + whole(length));
        count++;
      }
      draining = false;
      if (count > 0 && (flags & NO_WAKEUP) === 0) ring.onWake?.();
      return count;
    },
  };

  /** The next sample from user space, or -errno. */
  const peek = (): number => {
    while (consumer < producer) {
      const header = u32[at(consumer) >>> 2];
      if (whole(header & LENGTH) > producer - consumer) return -EINVAL;
      if ((header & layout.RING_DISCARD) === 0)
        return (header & layout.RING_BUSY) === 0 ? at(consumer) + layout.RING_HEADER : -ENODATA;
      setConsumer(consumer + whole(header & LENGTH));
    }
    return -ENODATA;
  };

  return ring;
}

/** The ring buffer that a sample came from, as the map's id: bpf_ringbuf_submit is told the sample only. */
export function ringOwner(dv: DataView, sampleAt: number): number {
  return dv.getUint32(sampleAt - 4, true);
}
