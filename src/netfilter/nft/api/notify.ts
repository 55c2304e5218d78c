/**
 * What notifications (NFNLGRP_NFTABLES, NLM_F_ECHO) say beside the object itself: flags and type, from the request.
 */
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../../../wire/uapi/netlink.ts';
import type { Told } from '../transaction.ts';

/** NFT_MSG_DESTROYTABLE: messages from here on delete, and do not mind when there is nothing. */
const NFT_MSG_DESTROYTABLE = 26;
const NFT_MSG_DESTROYFLOWTABLE = 32;

/** Flags of something new: those of its request that say how it came in. */
export function newFlags(req: Told): number {
  return req.flags & (NLM_F_CREATE | NLM_F_EXCL);
}

/** As `newFlags`; rules say whether they were added (or took another's place) rather than inserted. */
export function ruleFlags(req: Told): number {
  const added = req.flags & (NLM_F_APPEND | NLM_F_REPLACE) ? NLM_F_APPEND : 0;
  return (req.flags & (NLM_F_CREATE | NLM_F_EXCL)) | added;
}

/** The type of a deletion: as it was asked for when it is what was asked for, NFT_MSG_DEL* when it came along. */
export function goneType(req: Told, type: number): number {
  const destroyed = req.type - NFT_MSG_DESTROYTABLE;
  const kinds = [2, 5, 8, 11, 14, 20, 24];
  return req.type >= NFT_MSG_DESTROYTABLE && req.type <= NFT_MSG_DESTROYFLOWTABLE && kinds[destroyed] === type
    ? req.type
    : type;
}
