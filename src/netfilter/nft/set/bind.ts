/**
 * Rules hold on to the sets they use; an anonymous set lives as long as its rule.
 */
import { EBUSY, KernelError } from '../../../core/errno.ts';
import { NFT_SET_ANONYMOUS } from '../../../wire/uapi/nf-tables.ts';
import { releaseVerdict } from '../data.ts';
import { noUndo, type Undo } from '../expr.ts';
import { takeOut } from '../transaction.ts';
import type { Element, NftSet } from './set.ts';

/** One more user; EBUSY for a second user of an anonymous set. */
export function bindSet(set: NftSet): void {
  if (set.flags & NFT_SET_ANONYMOUS && set.use > 0) throw new KernelError(EBUSY);
  set.use++;
}

/**
 * One user less; the last user of an anonymous set takes it along. While a batch is taken back (`noUndo`) the set is left
 * alone: it came in the same batch, which takes it back itself.
 */
export function unbindSet(set: NftSet, undo: Undo): void {
  set.use--;
  if (undo === noUndo) return;
  undo(() => set.use++);
  if (set.use === 0 && set.flags & NFT_SET_ANONYMOUS) {
    takeOut(set.table.sets, set.name, undo);
    releaseElements(set, undo);
  }
}

/** Gives back what an element holds: chains, objects, expression state. */
export function releaseElement(element: Element, undo: Undo): void {
  if (element.verdict) releaseVerdict(element.verdict, undo);
  const object = element.object;
  if (object) {
    object.use--;
    undo(() => object.use++);
  }
  for (const expr of element.exprs) expr.destroy?.(undo);
}

/** `releaseElement` for every element of a set that is going away. */
export function releaseElements(set: NftSet, undo: Undo): void {
  for (const element of set.backend.elements()) releaseElement(element, undo);
  if (set.catchall) releaseElement(set.catchall, undo);
}
