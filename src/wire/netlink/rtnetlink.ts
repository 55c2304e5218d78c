/**
 * The fixed headers of rtnetlink messages (rtnetlink(7)): what stands between the netlink header and the attributes.
 * All are host-endian.
 */

export const IFINFOMSG_LENGTH = 16;
export const IFADDRMSG_LENGTH = 8;
export const RTMSG_LENGTH = 12;
export const NDMSG_LENGTH = 12;
export const FIB_RULE_HDR_LENGTH = 12;

/** `struct ifinfomsg`. `type` is ARPHRD_*, `flags` IFF_*. */
export type IfInfo = {
  readonly family: number;
  readonly type: number;
  readonly index: number;
  readonly flags: number;
  readonly change: number;
};

/** `struct ifaddrmsg`. */
export type IfAddr = {
  readonly family: number;
  readonly prefixLength: number;
  readonly flags: number;
  readonly scope: number;
  readonly index: number;
};

/** `struct rtmsg`. */
export type Rt = {
  readonly family: number;
  readonly dstLength: number;
  readonly srcLength: number;
  readonly tos: number;
  readonly table: number;
  readonly protocol: number;
  readonly scope: number;
  readonly type: number;
  readonly flags: number;
};

/** `struct ndmsg`. */
export type Nd = {
  readonly family: number;
  readonly index: number;
  readonly state: number;
  readonly flags: number;
  readonly type: number;
};

/** `struct fib_rule_hdr`. */
export type RuleHeader = {
  readonly family: number;
  readonly dstLength: number;
  readonly srcLength: number;
  readonly tos: number;
  readonly table: number;
  readonly action: number;
  readonly flags: number;
};

// A header cut short reads as zeros behind its end.
function viewOf(payload: Uint8Array, length: number): DataView {
  if (payload.length >= length) return new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const padded = new Uint8Array(length);
  padded.set(payload);
  return new DataView(padded.buffer);
}

export function parseIfInfo(payload: Uint8Array): IfInfo {
  const dv = viewOf(payload, IFINFOMSG_LENGTH);
  return {
    family: dv.getUint8(0),
    type: dv.getUint16(2, true),
    index: dv.getInt32(4, true),
    flags: dv.getUint32(8, true),
    change: dv.getUint32(12, true),
  };
}

export function emitIfInfo(h: Partial<IfInfo>): Uint8Array {
  const out = new Uint8Array(IFINFOMSG_LENGTH);
  const dv = new DataView(out.buffer);
  dv.setUint8(0, h.family ?? 0);
  dv.setUint16(2, h.type ?? 0, true);
  dv.setInt32(4, h.index ?? 0, true);
  dv.setUint32(8, h.flags ?? 0, true);
  dv.setUint32(12, h.change ?? 0, true);
  return out;
}

export function parseIfAddr(payload: Uint8Array): IfAddr {
  const dv = viewOf(payload, IFADDRMSG_LENGTH);
  return {
    family: dv.getUint8(0),
    prefixLength: dv.getUint8(1),
    flags: dv.getUint8(2),
    scope: dv.getUint8(3),
    index: dv.getUint32(4, true),
  };
}

export function emitIfAddr(h: Partial<IfAddr>): Uint8Array {
  const out = new Uint8Array(IFADDRMSG_LENGTH);
  const dv = new DataView(out.buffer);
  dv.setUint8(0, h.family ?? 0);
  dv.setUint8(1, h.prefixLength ?? 0);
  dv.setUint8(2, h.flags ?? 0);
  dv.setUint8(3, h.scope ?? 0);
  dv.setUint32(4, h.index ?? 0, true);
  return out;
}

export function parseRt(payload: Uint8Array): Rt {
  const dv = viewOf(payload, RTMSG_LENGTH);
  return {
    family: dv.getUint8(0),
    dstLength: dv.getUint8(1),
    srcLength: dv.getUint8(2),
    tos: dv.getUint8(3),
    table: dv.getUint8(4),
    protocol: dv.getUint8(5),
    scope: dv.getUint8(6),
    type: dv.getUint8(7),
    flags: dv.getUint32(8, true),
  };
}

export function emitRt(h: Partial<Rt>): Uint8Array {
  const out = new Uint8Array(RTMSG_LENGTH);
  const fields = [h.family, h.dstLength, h.srcLength, h.tos, h.table, h.protocol, h.scope, h.type];
  fields.forEach((value, i) => {
    out[i] = value ?? 0;
  });
  new DataView(out.buffer).setUint32(8, h.flags ?? 0, true);
  return out;
}

export function parseNd(payload: Uint8Array): Nd {
  const dv = viewOf(payload, NDMSG_LENGTH);
  return {
    family: dv.getUint8(0),
    index: dv.getInt32(4, true),
    state: dv.getUint16(8, true),
    flags: dv.getUint8(10),
    type: dv.getUint8(11),
  };
}

export function emitNd(h: Partial<Nd>): Uint8Array {
  const out = new Uint8Array(NDMSG_LENGTH);
  const dv = new DataView(out.buffer);
  dv.setUint8(0, h.family ?? 0);
  dv.setInt32(4, h.index ?? 0, true);
  dv.setUint16(8, h.state ?? 0, true);
  dv.setUint8(10, h.flags ?? 0);
  dv.setUint8(11, h.type ?? 0);
  return out;
}

export function parseRuleHeader(payload: Uint8Array): RuleHeader {
  const dv = viewOf(payload, FIB_RULE_HDR_LENGTH);
  return {
    family: dv.getUint8(0),
    dstLength: dv.getUint8(1),
    srcLength: dv.getUint8(2),
    tos: dv.getUint8(3),
    table: dv.getUint8(4),
    action: dv.getUint8(7),
    flags: dv.getUint32(8, true),
  };
}

export function emitRuleHeader(h: Partial<RuleHeader>): Uint8Array {
  const out = new Uint8Array(FIB_RULE_HDR_LENGTH);
  const fields = [h.family, h.dstLength, h.srcLength, h.tos, h.table, 0, 0, h.action];
  fields.forEach((value, i) => {
    out[i] = value ?? 0;
  });
  new DataView(out.buffer).setUint32(8, h.flags ?? 0, true);
  return out;
}
