/** Program types: their contexts, helpers, results, where they attach, how they are named. */
export {
  type AccessOp,
  type ContextAccess,
  checkContextAccess,
  checkObjectAccess,
  contextFits,
  contextLayout,
} from './context.ts';
export { helperAvailable, helperGplOnly } from './helpers.ts';
export type { Field, Struct } from './layout.ts';
export { attachTypeFits, checkLoad, effectiveAttachType, mayLoad, needsBtf, programGplOnly } from './load.ts';
export { BPF_PROG_TYPE_NFT_CHAIN, NFT_CTX, NFT_CTX_SIZE } from './nft-chain.ts';
export { type ReturnRange, returnRange } from './returns.ts';
export type { Mode } from './rules.ts';
export { type SectionType, sectionNames, sectionToType } from './section.ts';
