/**
 * How a struct of the kernel's user interface (linux/bpf.h) is laid out, and how wide a program may reach into each of
 * its fields. Which program may reach a field at all is said by the program type's own file.
 */
import { SCALAR_VALUE } from '../verifier/reg.ts';

/**
 * Widths of access to a field; every access lies at a multiple of its size.
 * - `parts`: an element or an aligned part of it (the kernel's "narrow" access)
 * - `head`: an element or a part that starts where the element starts
 * - `whole`: an element and nothing less
 * - `half`: an element or an aligned half of it
 * - `span`: anything inside the field, across its elements
 * - `port`: `parts`, or four bytes from the start (a port of two bytes and its padding, once one field)
 * - `wide`: for a load `parts`, for a store `whole`, and for both also two elements at a multiple of eight
 */
export type Reach = 'parts' | 'head' | 'whole' | 'half' | 'span' | 'port' | 'wide';

export type Field = {
  readonly name: string;
  readonly offset: number;
  /** Bytes of the whole field. */
  readonly size: number;
  /** Bytes of one element; for a field that is no array its size. */
  readonly element: number;
  readonly read: Reach;
  readonly write: Reach;
  /** What a load gives: a register type of verifier/reg.ts. */
  readonly regType: number;
  /** Kernel struct behind the pointer (PTR_TO_BTF_ID). */
  readonly btfName: string;
  /** A packet pointer that is no other one's beginning. */
  readonly own?: boolean;
  /** Bytes behind the pointer (PTR_TO_MEM). */
  readonly memSize?: number;
};

export type Struct = {
  /** Name as in C, without "struct". */
  readonly name: string;
  readonly size: number;
  readonly fields: readonly Field[];
};

function field(name: string, offset: number, size: number, element: number, read: Reach, write: Reach): Field {
  return { name, offset, size, element, read, write, regType: SCALAR_VALUE, btfName: '' };
}

/** An integer of four bytes that may be read in parts. */
export const word = (name: string, offset: number, read: Reach = 'parts'): Field =>
  field(name, offset, 4, 4, read, 'whole');

/** `count` words. */
export const words = (
  name: string,
  offset: number,
  count: number,
  read: Reach = 'parts',
  write: Reach = 'whole',
): Field => field(name, offset, count * 4, 4, read, write);

/** An integer of `size` bytes. */
export const integer = (name: string, offset: number, size: number, read: Reach = 'whole'): Field =>
  field(name, offset, size, size, read, 'whole');

/** Bytes without inner structure that a program reads as it likes. */
export const bytes = (name: string, offset: number, size: number): Field =>
  field(name, offset, size, size, 'span', 'span');

/** A field whose load gives a pointer. */
export const pointer = (name: string, offset: number, size: number, regType: number, btfName = ''): Field => ({
  ...field(name, offset, size, size, 'whole', 'whole'),
  regType,
  btfName,
});

/** The field that holds the byte at `offset`. */
export function fieldAt(struct: Struct, offset: number): Field | undefined {
  return struct.fields.find((f) => offset >= f.offset && offset < f.offset + f.size);
}

/** Whether the widths of `field` allow this access. */
export function reaches(f: Field, op: 'read' | 'write', offset: number, size: number): boolean {
  if (offset % size !== 0) return false;
  const at = (offset - f.offset) % f.element;
  const inside = at + size <= f.element;
  switch (op === 'read' ? f.read : f.write) {
    case 'parts':
      return inside;
    case 'head':
      return inside && at === 0;
    case 'whole':
      return size === f.element && at === 0;
    case 'half':
      return inside && size * 2 >= f.element;
    case 'span':
      return offset + size <= f.offset + f.size;
    case 'port':
      return inside || (at === 0 && size === 4);
    case 'wide':
      if (size === 2 * f.element) return at === 0 && offset + size <= f.offset + f.size;
      return op === 'read' ? inside : inside && size === f.element;
  }
}
