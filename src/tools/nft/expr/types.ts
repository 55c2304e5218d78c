/**
 * The kernel's nf_tables expressions as plain objects: one member of the union per NFTA_EXPR_NAME, its fields named after
 * the attributes (NFTA_<NAME>_*). Numbers are the kernel interface's (wire/uapi/nf-tables.ts).
 */

/** A register: 0 is the verdict, 1-4 are 16 bytes, 8-23 are 4 bytes. */
export type Reg = number;

export type Verdict = { readonly code: number; readonly chain?: string; readonly chainId?: number };

/** NFTA_DATA_*: bytes or a verdict. */
export type Data = { readonly value: Uint8Array } | { readonly verdict: Verdict };

export type KernelExpr =
  | { readonly name: 'immediate'; readonly dreg: Reg; readonly data: Data }
  | { readonly name: 'cmp'; readonly sreg: Reg; readonly op: number; readonly data: Uint8Array }
  | {
      readonly name: 'range';
      readonly sreg: Reg;
      readonly op: number;
      readonly from: Uint8Array;
      readonly to: Uint8Array;
    }
  | {
      readonly name: 'payload';
      readonly dreg: Reg;
      readonly base: number;
      readonly offset: number;
      readonly len: number;
    }
  | {
      readonly name: 'payload';
      readonly sreg: Reg;
      readonly dreg?: undefined;
      readonly base: number;
      readonly offset: number;
      readonly len: number;
      readonly csumType: number;
      readonly csumOffset: number;
      readonly csumFlags: number;
    }
  | {
      readonly name: 'exthdr';
      readonly dreg?: Reg;
      /** Set for a write. */
      readonly sreg?: Reg;
      readonly type: number;
      readonly offset: number;
      readonly len: number;
      readonly flags: number;
      readonly op: number;
    }
  /** A load from the packet that a tunnel carries. */
  | {
      readonly name: 'inner';
      /** NFT_INNER_*, and the tool's own 3 (GRE) and 4 (GRE with Ethernet). */
      readonly type: number;
      readonly hdrsize: number;
      readonly flags: number;
      readonly expr: KernelExpr;
    }
  | { readonly name: 'tunnel'; readonly key: number; readonly dreg: Reg }
  | { readonly name: 'meta'; readonly key: number; readonly dreg?: Reg; readonly sreg?: Reg }
  | { readonly name: 'ct'; readonly key: number; readonly dreg?: Reg; readonly sreg?: Reg; readonly direction?: number }
  | { readonly name: 'rt'; readonly key: number; readonly dreg: Reg }
  | { readonly name: 'socket'; readonly key: number; readonly dreg: Reg; readonly level?: number }
  | { readonly name: 'fib'; readonly dreg: Reg; readonly result: number; readonly flags: number }
  | { readonly name: 'xfrm'; readonly dreg: Reg; readonly key: number; readonly dir: number; readonly spnum: number }
  | { readonly name: 'osf'; readonly dreg: Reg; readonly ttl: number; readonly flags: number }
  | {
      readonly name: 'numgen';
      readonly dreg: Reg;
      readonly modulus: number;
      readonly type: number;
      readonly offset: number;
    }
  | {
      readonly name: 'hash';
      readonly dreg: Reg;
      readonly type: number;
      readonly sreg?: Reg;
      readonly len?: number;
      readonly modulus: number;
      readonly seed?: number;
      readonly offset: number;
    }
  | {
      readonly name: 'bitwise';
      readonly sreg: Reg;
      readonly dreg: Reg;
      readonly len: number;
      /** NFT_BITWISE_*: mask and xor, or a shift. */
      readonly op: number;
      readonly mask?: Uint8Array;
      readonly xor?: Uint8Array;
      /** Shift distance, host order. */
      readonly data?: Uint8Array;
      /** The second operand of and, or, xor. */
      readonly sreg2?: Reg;
    }
  | {
      readonly name: 'byteorder';
      readonly sreg: Reg;
      readonly dreg: Reg;
      readonly op: number;
      readonly len: number;
      readonly size: number;
    }
  | {
      readonly name: 'lookup';
      readonly set: string;
      readonly setId?: number;
      readonly sreg: Reg;
      readonly dreg?: Reg;
      readonly flags: number;
    }
  | {
      readonly name: 'dynset';
      readonly set: string;
      readonly setId?: number;
      readonly op: number;
      readonly sregKey: Reg;
      readonly sregData?: Reg;
      /** Milliseconds. */
      readonly timeout?: bigint;
      readonly flags: number;
      readonly exprs: readonly KernelExpr[];
    }
  | { readonly name: 'counter'; readonly packets: bigint; readonly bytes: bigint }
  | { readonly name: 'quota'; readonly bytes: bigint; readonly consumed: bigint; readonly flags: number }
  | {
      readonly name: 'limit';
      readonly rate: bigint;
      readonly unit: bigint;
      readonly burst: number;
      readonly type: number;
      readonly flags: number;
    }
  | { readonly name: 'connlimit'; readonly count: number; readonly flags: number }
  | { readonly name: 'last'; readonly set?: number; readonly msecs?: bigint }
  | {
      readonly name: 'log';
      readonly prefix?: string;
      readonly group?: number;
      readonly snaplen?: number;
      readonly qthreshold?: number;
      readonly level?: number;
      readonly flags?: number;
    }
  | { readonly name: 'reject'; readonly type: number; readonly code: number }
  | {
      readonly name: 'nat';
      /** NFT_NAT_SNAT 0, NFT_NAT_DNAT 1. */
      readonly type: number;
      readonly family: number;
      readonly addrMin?: Reg;
      readonly addrMax?: Reg;
      readonly protoMin?: Reg;
      readonly protoMax?: Reg;
      readonly flags: number;
    }
  | { readonly name: 'masq'; readonly flags: number; readonly protoMin?: Reg; readonly protoMax?: Reg }
  | { readonly name: 'redir'; readonly flags: number; readonly protoMin?: Reg; readonly protoMax?: Reg }
  | { readonly name: 'tproxy'; readonly family: number; readonly addr?: Reg; readonly port?: Reg }
  | { readonly name: 'synproxy'; readonly mss: number; readonly wscale: number; readonly flags: number }
  | {
      readonly name: 'queue';
      readonly num?: number;
      readonly total?: number;
      readonly flags: number;
      readonly sreg?: Reg;
    }
  | { readonly name: 'dup'; readonly addr?: Reg; readonly dev?: Reg }
  | { readonly name: 'fwd'; readonly dev: Reg; readonly addr?: Reg; readonly nfproto?: number }
  | { readonly name: 'notrack' }
  | {
      readonly name: 'objref';
      readonly type?: number;
      readonly object?: string;
      readonly sreg?: Reg;
      readonly set?: string;
      readonly setId?: number;
    }
  | { readonly name: 'flow_offload'; readonly table: string }
  | { readonly name: 'match' | 'target'; readonly xt: string; readonly rev: number; readonly info: Uint8Array }
  /** An expression this version does not take apart. */
  | { readonly name: 'other'; readonly kernel: string; readonly data: Uint8Array };
