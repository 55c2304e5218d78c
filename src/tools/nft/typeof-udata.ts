/**
 * How `typeof` of a set's declaration is kept: its text, in user data types of netloom's own (0x60 key, 0x61 data), so
 * that a listing shows what was written. A reader that does not know them sees a set with plain types.
 */
import type { Expr } from './ast.ts';
import type { SetInfo } from './set-info.ts';
import { type Tlv, udataString } from './userdata.ts';

export const UDATA_NETLOOM_KEY_TYPEOF = 0x60;
export const UDATA_NETLOOM_DATA_TYPEOF = 0x61;

const MAX = 250;

function text(type: number, expr: Expr | undefined): Tlv[] {
  const loc = expr?.loc;
  if (loc === undefined) return [];
  const written = loc.source.text.slice(loc.start, loc.end).replace(/\s+/g, ' ');
  return written.length > MAX ? [] : [udataString(type, written)];
}

export function typeofUdata(set: SetInfo): Tlv[] {
  if (!set.keyTypeof) return [];
  const data = set.data?.expr;
  return [
    ...text(UDATA_NETLOOM_KEY_TYPEOF, set.key),
    ...(data === undefined || data.len === 0 ? [] : text(UDATA_NETLOOM_DATA_TYPEOF, data)),
  ];
}
