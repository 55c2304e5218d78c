/** The set types of ipset (ipset(8)): what an element is made of. */

/** What one dimension of an element is. */
export type Dimension =
  | 'ip'
  | 'net'
  /** Protocol and port. */
  | 'port'
  /** A port without its protocol (bitmap:port). */
  | 'bare-port'
  | 'mac'
  | 'mark'
  | 'iface';

export type SetType = {
  readonly name: string;
  readonly method: 'bitmap' | 'hash' | 'list';
  readonly dimensions: readonly Dimension[];
  /** Newest revision; older ones lack options only. */
  readonly revision: number;
  /** Address families: 2 and 10, 2 alone, or 0 for a type without addresses. */
  readonly families: readonly number[];
  /** The MAC address may be left out and is learned (bitmap:ip,mac). */
  readonly learnsMac?: boolean;
};

const hash = (dimensions: readonly Dimension[], revision: number, families: readonly number[] = [2, 10]): SetType => ({
  name: `hash:${dimensions.join(',')}`,
  method: 'hash',
  dimensions,
  revision,
  families,
});

const bitmap = (name: string, dimensions: readonly Dimension[], families: readonly number[]): SetType => ({
  name,
  method: 'bitmap',
  dimensions,
  revision: 3,
  families,
});

const TYPES: readonly SetType[] = [
  bitmap('bitmap:ip', ['ip'], [2]),
  { ...bitmap('bitmap:ip,mac', ['ip', 'mac'], [2]), learnsMac: true },
  bitmap('bitmap:port', ['bare-port'], [0]),
  hash(['ip'], 6),
  hash(['mac'], 1, [0]),
  hash(['ip', 'mac'], 1),
  hash(['ip', 'mark'], 3),
  hash(['ip', 'port'], 7),
  hash(['ip', 'port', 'ip'], 6),
  hash(['ip', 'port', 'net'], 8),
  hash(['net'], 7),
  hash(['net', 'net'], 4),
  hash(['net', 'port'], 8),
  hash(['net', 'port', 'net'], 3),
  hash(['net', 'iface'], 8),
  { name: 'list:set', method: 'list', dimensions: [], revision: 3, families: [0] },
];

const BY_NAME: ReadonlyMap<string, SetType> = new Map(TYPES.map((type) => [type.name, type]));

/** The type of a name; undefined when ipset has none such. */
export function setType(name: string): SetType | undefined {
  return BY_NAME.get(name);
}

/** All types, in the order of ipset(8). */
export function setTypes(): readonly SetType[] {
  return TYPES;
}

export const IFACE_LENGTH = 16;

/** Bytes of a dimension in an element's key. */
export function dimensionLength(dimension: Dimension, family: number): number {
  const address = family === 10 ? 16 : 4;
  switch (dimension) {
    case 'ip':
      return address;
    case 'net':
      return address + 1;
    case 'port':
      return 3;
    case 'bare-port':
      return 2;
    case 'mac':
      return 6;
    case 'mark':
      return 4;
    default:
      return IFACE_LENGTH + 1;
  }
}

/** Bytes of a type's keys: its dimensions one behind the other. */
export function keyLength(type: SetType, family: number): number {
  return type.dimensions.reduce((sum, dimension) => sum + dimensionLength(dimension, family), 0);
}
