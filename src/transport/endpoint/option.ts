/**
 * Socket options as data: one row for each (level, name) with how its value is coded, read and written. The same rows
 * serve getsockopt(2), setsockopt(2), the helpers of eBPF programs, and listings.
 */
import { EINVAL, ENOPROTOOPT, EOPNOTSUPP } from '../../core/errno.ts';
import { AF_INET } from '../../wire/address.ts';
import { SOL_IPV6 } from '../../wire/uapi/socket.ts';
import type { Sock } from './sock.ts';
import type { Sockets } from './sockets.ts';

/** Who asks: the host's sockets and the socket. */
export type OptionContext = { readonly sockets: Sockets; readonly sk: Sock };

/**
 * How a value is coded. `int`: four bytes, fewer are refused; `loose`: four bytes, or one (ip(7)); `bytes`: as it is.
 */
type Codec = 'int' | 'loose' | 'bytes';

export type Row = {
  readonly level: number;
  readonly name: number;
  /** The constant's name, for listings and messages. */
  readonly label: string;
  readonly codec: Codec;
  /** Fewest bytes a `bytes` value has. */
  readonly min?: number;
  /** Without `get` the option cannot be read (ENOPROTOOPT), without `set` not written. */
  readonly get?: (c: OptionContext) => number | Uint8Array;
  /** Asked before `get`: 0 or a positive errno. */
  readonly readable?: (c: OptionContext) => number;
  /** 0 or a positive errno. */
  readonly set?: (c: OptionContext, value: number, bytes: Uint8Array) => number;
  /** Families that have it; all when absent. */
  readonly families?: readonly number[];
};

/** A switch kept in a field of the socket. */
export function flag(level: number, name: number, label: string, field: BooleanField, codec: Codec = 'int'): Row {
  return {
    level,
    name,
    label,
    codec,
    get: ({ sk }) => (sk[field] ? 1 : 0),
    set: ({ sk }, value) => {
      sk[field] = value !== 0;
      return 0;
    },
  };
}

/** A number kept in a field of the socket, within bounds. */
export function number(
  level: number,
  name: number,
  label: string,
  field: NumberField,
  bounds: readonly [number, number],
  codec: Codec = 'int',
): Row {
  return {
    level,
    name,
    label,
    codec,
    get: ({ sk }) => sk[field],
    set: ({ sk }, value) => {
      if (value < bounds[0] || value > bounds[1]) return EINVAL;
      sk[field] = value;
      return 0;
    },
  };
}

type BooleanField =
  | 'reuse'
  | 'reuseport'
  | 'freebind'
  | 'broadcast'
  | 'dontroute'
  | 'bindAddressNoPort'
  | 'rxqOverflow'
  | 'recvMark'
  | 'noCheckTx'
  | 'multicastLoop'
  | 'multicastAll'
  | 'recverr'
  | 'recverr6'
  | 'pktinfo'
  | 'recvPktinfo6'
  | 'recvTtl'
  | 'recvTos'
  | 'recvHops'
  | 'recvTclass'
  | 'recvOrigDst'
  | 'hdrincl';
type NumberField = 'pmtudisc' | 'pmtudisc6' | 'incomingCpu';

function decode(row: Row, bytes: Uint8Array): number | undefined {
  if (row.codec === 'bytes') return bytes.length < (row.min ?? 0) ? undefined : 0;
  if (bytes.length >= 4) return new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
  if (row.codec === 'int') return undefined;
  return bytes.length >= 1 ? bytes[0] : 0;
}

const intBytes = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer);

export class OptionTable {
  readonly #rows = new Map<number, Row>();

  constructor(rows: readonly Row[]) {
    for (const row of rows) this.#rows.set(row.level * 0x10000 + row.name, row);
  }

  row(level: number, name: number): Row | undefined {
    return this.#rows.get(level * 0x10000 + name);
  }

  /** setsockopt(2): 0 or a negative errno. */
  set(c: OptionContext, level: number, name: number, value: number | Uint8Array): number {
    const row = this.#find(c, level, name);
    if (row?.set === undefined) return -ENOPROTOOPT;
    const bytes = typeof value === 'number' ? intBytes(value) : value;
    const decoded = decode(row, bytes);
    if (decoded === undefined) return -EINVAL;
    return -row.set(c, decoded, bytes) || 0;
  }

  /** getsockopt(2): the bytes (at most `length`), or a negative errno. */
  get(c: OptionContext, level: number, name: number, length: number = 1 << 16): Uint8Array | number {
    const row = this.#find(c, level, name);
    if (row?.get === undefined) return c.sk.family === AF_INET && level === SOL_IPV6 ? -EOPNOTSUPP : -ENOPROTOOPT;
    const refused = row.readable?.(c) ?? 0;
    if (refused !== 0) return -refused;
    const value = row.get(c);
    if (typeof value !== 'number') return value.subarray(0, length);
    // ip(7): a short buffer gets the one byte that values of the IP level fit in.
    if (row.codec === 'loose' && length > 0 && length < 4 && value >= 0 && value <= 255) return Uint8Array.of(value);
    return intBytes(value).subarray(0, length);
  }

  #find(c: OptionContext, level: number, name: number): Row | undefined {
    const row = this.row(level, name);
    if (row?.families !== undefined && !row.families.includes(c.sk.family)) return undefined;
    return row;
  }
}
