/**
 * `nft get element`: the members of a set that hold the keys asked for. An interval is found by its first and its last
 * key, which must lie in the same member.
 */
import { ENOENT } from '../../core/errno.ts';
import { type Attr, AttrWriter, attrMap, readAttrs } from '../../wire/netlink/attr.ts';
import type { NetlinkSocket } from '../../wire/netlink/message.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { NFNL_SUBSYS_NFTABLES } from '../../wire/uapi/nfnetlink.ts';
import { NetlinkClient, NetlinkError } from '../netlink-client.ts';
import type { ElementExpr } from './ast.ts';
import { FAMILY_NUMBERS, nfgenmsg } from './batch.ts';
import { readElements } from './delinearize/element.ts';
import { type KernelElement, kernelElements } from './elements.ts';
import { writeElement } from './objects.ts';
import type { SetInfo } from './set-info.ts';
import type { SetEntry } from './views.ts';

const NFGENMSG_LENGTH = 4;
/** NFT_MSG_GETSETELEM_RESET */
const GETSETELEM_RESET = 33;

/** Asks for one element; its NFTA_SET_ELEM_LIST_ELEMENTS. Throws NetlinkError (ENOENT). */
function ask(client: NetlinkClient, set: SetInfo, element: KernelElement, reset: boolean): Attr {
  const w = new AttrWriter().raw(nfgenmsg(FAMILY_NUMBERS[set.family]));
  w.string(U.NFTA_SET_ELEM_LIST_TABLE, set.table).string(U.NFTA_SET_ELEM_LIST_SET, set.name);
  w.nest(U.NFTA_SET_ELEM_LIST_ELEMENTS, (n) => writeElement(n, element));
  const type = reset ? GETSETELEM_RESET : U.NFT_MSG_GETSETELEM;
  const m = client.get((NFNL_SUBSYS_NFTABLES << 8) | type, w.finish());
  const list = m && attrMap(m.payload, NFGENMSG_LENGTH).get(U.NFTA_SET_ELEM_LIST_ELEMENTS);
  if (list === undefined) throw new NetlinkError(ENOENT, undefined, false);
  return list;
}

function keyOf(list: Attr): string {
  const [first] = readAttrs(list.payload);
  const key = first && attrMap(first.payload).get(U.NFTA_SET_ELEM_KEY);
  return key === undefined ? '' : key.payload.join();
}

/** Finds each element asked for, in the order of asking; reset: what counts in them starts anew. */
export function getElements(
  socket: NetlinkSocket,
  set: SetInfo,
  view: SetEntry,
  wanted: readonly ElementExpr[],
  reset: boolean,
): ElementExpr[] {
  const client = new NetlinkClient(socket);
  const simple = set.flags & U.NFT_SET_INTERVAL && view.shape.key.length === 1;
  return wanted.flatMap((one): ElementExpr[] => {
    const parts = kernelElements(set, [one], false);
    if (!simple || parts[0]?.flags === U.NFT_SET_ELEM_CATCHALL)
      return parts.flatMap((part) => readElements(view.shape, [ask(client, set, part, reset)]));
    const start = ask(client, set, parts[0], reset);
    const end = parts[1];
    const last = end === undefined ? undefined : before(end.key!);
    // Both ends of what is asked for lie in one member.
    const { open: _, ...plain } = parts[0];
    const high = { ...plain, key: last ?? new Uint8Array(parts[0].key!.length).fill(255) };
    if (keyOf(ask(client, set, high, false)) !== keyOf(start)) throw new NetlinkError(ENOENT, undefined, false);
    const lists = [start];
    if (end !== undefined) {
      try {
        lists.push(ask(client, set, end, false));
      } catch (error) {
        // An interval up to the highest key has no end.
        if (!(error instanceof NetlinkError) || error.errno !== ENOENT) throw error;
      }
    }
    return readElements(view.shape, lists);
  });
}

/** The key below. */
function before(key: Uint8Array): Uint8Array {
  const out = key.slice();
  for (let i = out.length - 1; i >= 0; i--) if (out[i]-- !== 0) break;
  return out;
}
