/**
 * Rulesets into a netloom host, by its own nft.
 */
import { runScript } from '../../src/tools/nft/index.ts';
import type { LoadRules } from './netloom-peer.ts';

export const loadNft: LoadRules = (io, rules) => {
  const { code, stderr } = runScript(rules, { netlink: io.netlink }, { file: 'rules.nft' });
  return code === 0 ? undefined : stderr;
};
