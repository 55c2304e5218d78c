/**
 * What must hold before BTF is read in place: the header, that types tile their section, that names and types referred
 * to exist, and that no type contains itself. Bounded: every byte is looked at a fixed number of times.
 */
import { LoadError } from '../load-error.ts';
import type { Btf } from './btf.ts';
import * as F from './format.ts';

/** A BTF blob whose header was checked: where types and strings lie in it. */
export type RawBtf = {
  readonly section: string;
  readonly bytes: Uint8Array;
  readonly dv: DataView;
  readonly littleEndian: boolean;
  readonly typeAt: number;
  readonly typeEnd: number;
  readonly strAt: number;
  readonly strLen: number;
};

/** The byte order that the magic number shows; undefined when it is none. */
export function byteOrder(dv: DataView): boolean | undefined {
  if (dv.byteLength < 2) return undefined;
  if (dv.getUint16(0, true) === F.BTF_MAGIC) return true;
  return dv.getUint16(0, false) === F.BTF_MAGIC ? false : undefined;
}

export function readHeader(bytes: Uint8Array, section: string): RawBtf {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fail = (offset: number, problem: string): never => {
    throw new LoadError(section, offset, problem);
  };
  const littleEndian = byteOrder(dv) ?? fail(0, 'no BTF: the magic number 0xeb9f is not there');
  if (bytes.length < F.BTF_HEADER_LEN) fail(bytes.length, `BTF ends inside its header of ${F.BTF_HEADER_LEN} bytes`);
  const version = dv.getUint8(2);
  if (version !== F.BTF_VERSION) fail(2, `BTF version ${version}; 1 is the only one`);
  const headerLen = dv.getUint32(4, littleEndian);
  if (headerLen < F.BTF_HEADER_LEN || headerLen > bytes.length) fail(4, `BTF header length ${headerLen} is wrong`);
  const word = (at: number): number => dv.getUint32(at, littleEndian);
  const [typeOff, typeLen, strOff, strLen] = [word(8), word(12), word(16), word(20)];
  const room = bytes.length - headerLen;
  if (typeOff % 4 !== 0) fail(8, `types start at ${typeOff}, which is not a multiple of 4`);
  if (typeOff + typeLen > room) fail(12, `types at ${typeOff}, ${typeLen} bytes, reach beyond the ${room} there are`);
  if (strOff + strLen > room) fail(20, `strings at ${strOff}, ${strLen} bytes, reach beyond the ${room} there are`);
  const strAt = headerLen + strOff;
  if (strLen > 0 && bytes[strAt + strLen - 1] !== 0) fail(strAt + strLen - 1, 'the last string has no end');
  const typeAt = headerLen + typeOff;
  return { section, bytes, dv, littleEndian, typeAt, typeEnd: typeAt + typeLen, strAt, strLen };
}

/** Offsets of all types, in order. */
export function scanTypes(raw: RawBtf, firstId: number): Uint32Array {
  const { dv, littleEndian, section } = raw;
  const offsets = new Uint32Array(Math.ceil((raw.typeEnd - raw.typeAt) / F.BTF_TYPE_LEN));
  let count = 0;
  for (let at = raw.typeAt; at < raw.typeEnd; ) {
    const id = firstId + count;
    if (at + F.BTF_TYPE_LEN > raw.typeEnd) throw new LoadError(section, at, `type ${id} is cut off`);
    if (id > F.BTF_MAX_TYPE) throw new LoadError(section, at, `more than ${F.BTF_MAX_TYPE} types`);
    const info = dv.getUint32(at + 4, littleEndian);
    const kind = (info >>> 24) & 31;
    if (kind === F.BTF_KIND_UNKN || kind >= F.NR_BTF_KINDS)
      throw new LoadError(section, at + 4, `type ${id} is of unknown kind ${kind}`);
    offsets[count++] = at;
    at += F.BTF_TYPE_LEN + F.btfExtraLen(kind, info & 0xffff);
    if (at > raw.typeEnd)
      throw new LoadError(section, offsets[count - 1], `${F.BTF_KIND_NAMES[kind]} ${id} is cut off`);
  }
  return offsets.subarray(0, count);
}

/** Names and types that every type refers to must exist; no type may contain itself. */
export function checkBtf(btf: Btf, raw: RawBtf, offsetOf: (id: number) => number): void {
  const { dv, littleEndian } = raw;
  const word = (at: number): number => dv.getUint32(at, littleEndian);
  const fail = (id: number, at: number, what: string): never => {
    throw new LoadError(raw.section, at, `${F.BTF_KIND_NAMES[btf.kind(id)]} ${id} ${what}`);
  };
  const checkName = (id: number, at: number): void => {
    const offset = word(at);
    if (offset >= btf.stringEnd && offset !== 0)
      fail(id, at, `has its name at ${offset}, outside of the ${btf.stringEnd} bytes of strings`);
    if (btf.stringEnd === 0) fail(id, at, 'needs a name, but there are no strings');
  };
  const checkType = (id: number, at: number): void => {
    const to = word(at);
    if (to >= btf.end) fail(id, at, `refers to type ${to}; there are ${btf.end - 1}`);
  };
  for (let id = btf.firstId; id < btf.end; id++) {
    const at = offsetOf(id);
    const kind = btf.kind(id);
    const vlen = word(at + 4) & 0xffff;
    checkName(id, at);
    if (F.refersToType(kind)) checkType(id, at + 8);
    const body = at + F.BTF_TYPE_LEN;
    switch (kind) {
      case F.BTF_KIND_INT: {
        const { bits, bitOffset } = btf.int(id);
        if (bits > 128 || bitOffset + bits > word(at + 8) * 8)
          fail(id, body, `has ${bits} bits in ${word(at + 8)} bytes`);
        break;
      }
      case F.BTF_KIND_ARRAY:
        checkType(id, body);
        checkType(id, body + 4);
        break;
      case F.BTF_KIND_STRUCT:
      case F.BTF_KIND_UNION:
        for (let i = 0; i < vlen; i++) {
          checkName(id, body + i * 12);
          checkType(id, body + i * 12 + 4);
        }
        break;
      case F.BTF_KIND_ENUM:
        for (let i = 0; i < vlen; i++) checkName(id, body + i * 8);
        break;
      case F.BTF_KIND_ENUM64:
        for (let i = 0; i < vlen; i++) checkName(id, body + i * 12);
        break;
      case F.BTF_KIND_FUNC_PROTO:
        for (let i = 0; i < vlen; i++) {
          checkName(id, body + i * 8);
          checkType(id, body + i * 8 + 4);
        }
        break;
      case F.BTF_KIND_DATASEC:
        for (let i = 0; i < vlen; i++) checkType(id, body + i * 12);
        break;
      case F.BTF_KIND_FUNC:
        if (btf.kind(word(at + 8)) !== F.BTF_KIND_FUNC_PROTO) fail(id, at + 8, 'has no prototype');
        break;
    }
  }
  checkLoops(btf, (id, what) => fail(id, offsetOf(id), what));
}

/** Types whose value lies inside a value of this one (pointers end the walk). */
function inside(btf: Btf, id: number, i: number): number {
  switch (btf.kind(id)) {
    case F.BTF_KIND_STRUCT:
    case F.BTF_KIND_UNION:
      return i < btf.vlen(id) ? btf.member(id, i).type : -1;
    case F.BTF_KIND_ARRAY:
      return i === 0 ? btf.array(id).elem : -1;
    case F.BTF_KIND_DATASEC:
      return i < btf.vlen(id) ? btf.varAt(id, i).type : -1;
    case F.BTF_KIND_TYPEDEF:
    case F.BTF_KIND_CONST:
    case F.BTF_KIND_VOLATILE:
    case F.BTF_KIND_RESTRICT:
    case F.BTF_KIND_TYPE_TAG:
    case F.BTF_KIND_VAR:
      return i === 0 ? btf.target(id) : -1;
    default:
      return -1;
  }
}

/** Keeps every walk by value short. The kernel resolves an object's types 32 deep; its own BTF nests a little deeper. */
const MAX_DEPTH = 200;

function checkLoops(btf: Btf, fail: (id: number, what: string) => never): void {
  const first = btf.firstId;
  // 0: not seen, 1: on the path, otherwise 2 + depth below it.
  const state = new Uint8Array(btf.end - first);
  const path: number[] = [];
  const next: number[] = [];
  const deepest: number[] = [];
  for (let root = first; root < btf.end; root++) {
    if (state[root - first] !== 0) continue;
    path.push(root);
    next.push(0);
    deepest.push(0);
    state[root - first] = 1;
    while (path.length > 0) {
      const top = path.length - 1;
      const to = inside(btf, path[top], next[top]++);
      if (to < 0) {
        const id = path.pop()!;
        next.pop();
        const depth = deepest.pop()! + 1;
        if (depth > MAX_DEPTH) fail(id, `nests types more than ${MAX_DEPTH} deep`);
        state[id - first] = 2 + depth;
        if (top > 0) deepest[top - 1] = Math.max(deepest[top - 1], depth);
        continue;
      }
      if (to < first) continue;
      const seen = state[to - first];
      if (seen === 1) fail(to, 'contains itself');
      if (seen > 1) {
        deepest[top] = Math.max(deepest[top], seen - 2);
        continue;
      }
      path.push(to);
      next.push(0);
      deepest.push(0);
      state[to - first] = 1;
    }
  }
  checkPointerLoops(btf, fail);
}

/** A chain of pointers, modifiers, typedefs and arrays must end at something else. */
function checkPointerLoops(btf: Btf, fail: (id: number, what: string) => never): void {
  const first = btf.firstId;
  const mark = new Uint32Array(btf.end - first);
  for (let root = first; root < btf.end; root++) {
    for (let id = root; id >= first && mark[id - first] !== root + 1; ) {
      if (mark[id - first] !== 0) break;
      mark[id - first] = root + 1;
      const kind = btf.kind(id);
      if (kind === F.BTF_KIND_PTR || kind === F.BTF_KIND_TYPEDEF || F.isModifier(kind)) id = btf.target(id);
      else if (kind === F.BTF_KIND_ARRAY) id = btf.array(id).elem;
      else break;
      if (id >= first && mark[id - first] === root + 1) fail(id, 'is a chain of pointers that leads back to itself');
    }
  }
}
