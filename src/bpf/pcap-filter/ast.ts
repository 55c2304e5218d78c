/** A filter expression as it is written, before anything is known of link types: pcap-filter(7). */

/** Position in the expression, from 0. */
export type At = { readonly at: number };

/** What stands before an address, a port or a protocol: `tcp src port`. */
export type Qualifiers = {
  /** Keyword such as 'ip', 'ether', 'tcp'; '' for none. */
  readonly proto: string;
  readonly dir: Direction;
  readonly kind: 'host' | 'net' | 'port' | 'portrange' | 'proto' | 'protochain' | 'gateway';
};
/** The last six are fields of 802.11 frames. */
export type Direction = '' | 'src' | 'dst' | 'or' | 'and' | 'addr1' | 'addr2' | 'addr3' | 'addr4' | 'ra' | 'ta';

export type Id = At &
  (
    | { readonly kind: 'number'; readonly value: number; readonly text: string }
    /** Dotted, with 1 to 4 parts: the bytes that are there, in the high end. */
    | { readonly kind: 'ip4'; readonly value: number; readonly bits: number; readonly text: string }
    | { readonly kind: 'ip6'; readonly words: readonly number[]; readonly text: string }
    | { readonly kind: 'mac'; readonly bytes: readonly number[]; readonly text: string }
    | { readonly kind: 'name'; readonly text: string }
    /** `10.0.0.0/8`, `net 10.0.0.0 mask 255.0.0.0`, `fd00::/8`. */
    | { readonly kind: 'masked'; readonly net: Id; readonly length: number }
    | { readonly kind: 'mask'; readonly net: Id; readonly mask: Id }
  );

export type Arith = At &
  (
    | { readonly kind: 'number'; readonly value: number }
    | { readonly kind: 'len' }
    | { readonly kind: 'neg'; readonly operand: Arith }
    | { readonly kind: 'binary'; readonly op: ArithOp; readonly left: Arith; readonly right: Arith }
    | { readonly kind: 'load'; readonly proto: string; readonly index: Arith; readonly size: number }
  );
export type ArithOp = '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^' | '<<' | '>>';
export type RelOp = '=' | '!=' | '>' | '>=' | '<' | '<=';

export type Expr = At &
  (
    | { readonly kind: 'and' | 'or'; readonly left: Expr; readonly right: Expr }
    | { readonly kind: 'not'; readonly operand: Expr }
    | { readonly kind: 'id'; readonly q: Qualifiers; readonly id: Id }
    | { readonly kind: 'proto'; readonly name: string }
    | { readonly kind: 'relation'; readonly op: RelOp; readonly left: Arith; readonly right: Arith }
    | { readonly kind: 'cast'; readonly how: 'broadcast' | 'multicast'; readonly proto: string }
    | { readonly kind: 'less' | 'greater' | 'ifindex'; readonly value: number }
    | { readonly kind: 'byte'; readonly index: number; readonly op: string; readonly value: number }
    | { readonly kind: 'inbound'; readonly out: boolean }
    | {
        readonly kind: 'nest';
        readonly what: 'vlan' | 'mpls' | 'pppoes' | 'geneve';
        readonly number: number | undefined;
      }
    | { readonly kind: 'pppoed' }
    | { readonly kind: 'llc'; readonly type: string }
    /** Type and subtype (byte 0), or direction (byte 1) of an 802.11 frame. */
    | { readonly kind: 'wlan'; readonly byte: number; readonly value: number; readonly mask: number }
  );
