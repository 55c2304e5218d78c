/**
 * The nf_tables messages and who handles them: changes (inside a batch) and questions (dumps and single objects).
 */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import type { Message } from '../../../wire/netlink/message.ts';
import { NLM_F_DUMP, NLM_F_MULTI } from '../../../wire/uapi/netlink.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { type Nftables, nftMessage, type Request } from '../nftables.ts';
import type { Transaction } from '../transaction.ts';
import { chainMessage, deleteChain, getChains, newChain } from './chain.ts';
import { deleteElements, dumpElements, getElements, newElements } from './element.ts';
import { deleteFlowtable, getFlowtable, getFlowtables, newFlowtable } from './flowtable.ts';
import { deleteObject, getObject, getObjects, newObject } from './object.ts';
import { deleteRule, getRule, getRules, newRule } from './rule.ts';
import { deleteSet, getSet, getSets, newSet } from './set.ts';
import { deleteTable, getTables, newTable, tableMessage } from './table.ts';

// Messages newer than some kernel headers.
const NFT_MSG_GETRULE_RESET = 25;
const NFT_MSG_DESTROYTABLE = 26;
const NFT_MSG_DESTROYCHAIN = 27;
const NFT_MSG_DESTROYRULE = 28;
const NFT_MSG_DESTROYSET = 29;
const NFT_MSG_DESTROYSETELEM = 30;
const NFT_MSG_DESTROYOBJ = 31;
const NFT_MSG_DESTROYFLOWTABLE = 32;
const NFT_MSG_GETSETELEM_RESET = 33;

/** Runs a deletion and does not mind when the thing is not there. */
function destroy(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof KernelError) || error.errno !== 2) throw error;
  }
}

/** Carries out one change of a batch; throws KernelError. */
export function change(nft: Nftables, tx: Transaction, req: Request): void {
  tx.request = req;
  switch (req.type) {
    case U.NFT_MSG_NEWTABLE:
      newTable(nft, tx, req);
      return;
    case U.NFT_MSG_DELTABLE:
      deleteTable(nft, tx, req);
      return;
    case NFT_MSG_DESTROYTABLE:
      destroy(() => deleteTable(nft, tx, req));
      return;
    case U.NFT_MSG_NEWCHAIN:
      newChain(nft, tx, req);
      return;
    case U.NFT_MSG_DELCHAIN:
      deleteChain(nft, tx, req);
      return;
    case NFT_MSG_DESTROYCHAIN:
      destroy(() => deleteChain(nft, tx, req));
      return;
    case U.NFT_MSG_NEWRULE:
      newRule(nft, tx, req);
      return;
    case U.NFT_MSG_DELRULE:
      deleteRule(nft, tx, req);
      return;
    case NFT_MSG_DESTROYRULE:
      destroy(() => deleteRule(nft, tx, req));
      return;
    case U.NFT_MSG_NEWSET:
      newSet(nft, tx, req);
      return;
    case U.NFT_MSG_DELSET:
      deleteSet(nft, tx, req);
      return;
    case NFT_MSG_DESTROYSET:
      destroy(() => deleteSet(nft, tx, req));
      return;
    case U.NFT_MSG_NEWSETELEM:
      newElements(nft, tx, req);
      return;
    case U.NFT_MSG_DELSETELEM:
      deleteElements(nft, tx, req, true);
      return;
    case NFT_MSG_DESTROYSETELEM:
      deleteElements(nft, tx, req, false);
      return;
    case U.NFT_MSG_NEWOBJ:
      newObject(nft, tx, req);
      return;
    case U.NFT_MSG_DELOBJ:
      deleteObject(nft, tx, req);
      return;
    case NFT_MSG_DESTROYOBJ:
      destroy(() => deleteObject(nft, tx, req));
      return;
    case U.NFT_MSG_NEWFLOWTABLE:
      newFlowtable(nft, tx, req);
      return;
    case U.NFT_MSG_DELFLOWTABLE:
      deleteFlowtable(nft, tx, req);
      return;
    case NFT_MSG_DESTROYFLOWTABLE:
      destroy(() => deleteFlowtable(nft, tx, req));
      return;
    default:
      throw new KernelError(EINVAL);
  }
}

/** True for messages that only make sense inside a batch. */
export function isChange(type: number): boolean {
  return !isQuestion(type);
}

const QUESTIONS: readonly number[] = [
  U.NFT_MSG_GETTABLE,
  U.NFT_MSG_GETCHAIN,
  U.NFT_MSG_GETRULE,
  U.NFT_MSG_GETSET,
  U.NFT_MSG_GETSETELEM,
  U.NFT_MSG_GETGEN,
  U.NFT_MSG_GETOBJ,
  U.NFT_MSG_GETOBJ_RESET,
  U.NFT_MSG_GETFLOWTABLE,
  NFT_MSG_GETRULE_RESET,
  NFT_MSG_GETSETELEM_RESET,
];

function isQuestion(type: number): boolean {
  return QUESTIONS.includes(type);
}

/** The generation in force, and who committed it. */
export function generationMessage(nft: Nftables, req: Pick<Request, 'seq'>): Message {
  return nftMessage(U.NFT_MSG_NEWGEN, 0, req, 0, nft.generation, (w) => {
    w.beU32(U.NFTA_GEN_ID, nft.generation).beU32(U.NFTA_GEN_PROC_PID, 1).string(U.NFTA_GEN_PROC_NAME, 'nft');
  });
}

/** Answers a question; the caller adds NLMSG_DONE to dumps. Throws KernelError. */
export function* answer(nft: Nftables, req: Request): Generator<Message> {
  const dump = (req.flags & NLM_F_DUMP) === NLM_F_DUMP;
  switch (req.type) {
    case U.NFT_MSG_GETTABLE:
      if (dump) yield* getTables(nft, req, NLM_F_MULTI);
      else yield tableMessage(nft, req, nft.table(req.family, req.attrs.get(U.NFTA_TABLE_NAME)), 0, U.NFT_MSG_NEWTABLE);
      return;
    case U.NFT_MSG_GETCHAIN:
      if (dump) yield* getChains(nft, req, NLM_F_MULTI);
      else {
        const table = nft.table(req.family, req.attrs.get(U.NFTA_CHAIN_TABLE));
        yield chainMessage(nft, req, nft.chain(table, req.attrs.get(U.NFTA_CHAIN_NAME)), 0, U.NFT_MSG_NEWCHAIN);
      }
      return;
    case U.NFT_MSG_GETRULE:
    case NFT_MSG_GETRULE_RESET: {
      const reset = req.type === NFT_MSG_GETRULE_RESET;
      if (dump) yield* getRules(nft, req, NLM_F_MULTI, reset);
      else yield getRule(nft, req, reset);
      return;
    }
    case U.NFT_MSG_GETSET:
      if (dump) yield* getSets(nft, req, NLM_F_MULTI);
      else yield getSet(nft, req);
      return;
    case U.NFT_MSG_GETSETELEM:
    case NFT_MSG_GETSETELEM_RESET: {
      const reset = req.type === NFT_MSG_GETSETELEM_RESET;
      if (dump) yield* dumpElements(nft, req, reset);
      else yield* getElements(nft, req, reset);
      return;
    }
    case U.NFT_MSG_GETOBJ:
    case U.NFT_MSG_GETOBJ_RESET: {
      const reset = req.type === U.NFT_MSG_GETOBJ_RESET;
      if (dump) yield* getObjects(nft, req, NLM_F_MULTI, reset);
      else yield getObject(nft, req, reset);
      return;
    }
    case U.NFT_MSG_GETGEN:
      yield generationMessage(nft, req);
      return;
    case U.NFT_MSG_GETFLOWTABLE:
      if (dump) yield* getFlowtables(nft, req, NLM_F_MULTI);
      else yield getFlowtable(nft, req);
      return;
    default:
      throw new KernelError(EINVAL);
  }
}
