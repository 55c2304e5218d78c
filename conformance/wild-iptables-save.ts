/**
 * Suite `netfilter/wild-iptables-save`: real people's iptables-save files, loaded by iptables-restore into a netloom host;
 * iptables-save of the host must then be what the real tool printed (`../wild-iptables-oracle`). Files that the real tool
 * refuses must be refused.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { World } from '../src/core/world.ts';
import { Nfnetlink } from '../src/netlink/nfnetlink.ts';
import { Host } from '../src/netns/host.ts';
import { RestoreError, restoreScript } from '../src/tools/iptables/restore.ts';
import { saveText } from '../src/tools/iptables/save.ts';
import type { CaseResult } from './suite.ts';

type Oracle = {
  readonly tool: string;
  readonly nft: { readonly rc: number; readonly stderr: string; readonly save?: string };
};

/** The first lines in which two texts differ. */
function firstDifference(expected: string, got: string): { expected: string; got: string } | undefined {
  const a = expected.split('\n');
  const b = got.split('\n');
  const at = a.findIndex((line, i) => line !== b[i]);
  if (at < 0 && a.length === b.length) return undefined;
  const from = at < 0 ? a.length : at;
  return { expected: a.slice(from, from + 3).join('\n'), got: b.slice(from, from + 3).join('\n') };
}

function judge(id: string, text: string, oracle: Oracle): CaseResult {
  const nfnetlink = new Nfnetlink(new Host(new World({ slots: 64 }), 'host').nftables);
  const io = { netlink: { open: () => ({ send: (datagram: Uint8Array) => nfnetlink.handle(datagram) }) } };
  const family = oracle.tool.startsWith('ip6') ? 6 : 4;
  const accepted = oracle.nft.rc === 0;
  try {
    restoreScript(text, { family, file: id, io });
  } catch (error) {
    if (!(error instanceof RestoreError)) throw error;
    if (!accepted) return { id, ok: true };
    return { id, ok: false, expected: 'loads', got: error.stderr.trim(), reason: 'refused' };
  }
  if (!accepted) return { id, ok: false, expected: oracle.nft.stderr, got: 'loads', reason: 'not refused' };
  const difference = firstDifference(oracle.nft.save ?? '', saveText(io, family));
  return difference === undefined ? { id, ok: true } : { id, ok: false, ...difference };
}

/** Judges every file below `root`; the oracle lies in the folder beside it. */
export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  const oracles = join(root, '../wild-iptables-oracle');
  for (const id of readdirSync(root).sort()) {
    if (filter && !filter.test(id)) continue;
    const oracle = join(oracles, `${id}.json`);
    if (!existsSync(oracle)) {
      yield { id, ok: false, reason: `no oracle ${oracle}` };
      continue;
    }
    try {
      yield judge(id, readFileSync(join(root, id), 'utf8'), JSON.parse(readFileSync(oracle, 'utf8')) as Oracle);
    } catch (error) {
      yield { id, ok: false, reason: (error as Error).stack ?? String(error) };
    }
  }
}
