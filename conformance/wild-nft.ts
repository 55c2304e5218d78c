/**
 * Suite `netfilter/wild-nft`: real people's nft scripts, loaded by nft() into a netloom host that has only `lo`; what
 * `nft list ruleset` prints must be what the real tool printed (`../wild-nft-oracle`). Scripts that the real tool refuses
 * must be refused too.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { World } from '../src/core/world.ts';
import { hostNetlink } from '../src/netlink/host-netlink.ts';
import { Host } from '../src/netns/host.ts';
import { nft } from '../src/tools/nft/index.ts';
import type { CaseResult } from './suite.ts';

type Oracle = { readonly rc: number; readonly stderr: string; readonly list: string };

/** Counters count the packets of the recording machine; remaining times run. */
function steady(text: string): string {
  return text
    .replace(/counter packets \d+ bytes \d+/g, 'counter packets 0 bytes 0')
    .replace(/^(\s*)packets \d+ bytes \d+$/gm, '$1packets 0 bytes 0')
    .replace(/ expires [0-9a-z]+/g, '');
}

function judge(id: string, text: string, oracle: Oracle): CaseResult {
  const netlink = hostNetlink(new Host(new World({ slots: 64 }), 'host'));
  const readFile = (path: string): string | undefined => (path === id ? text : undefined);
  const loaded = nft(['-f', id], { netlink, readFile });
  if (oracle.rc !== 0) {
    if (loaded.code !== 0) return { id, ok: true };
    return { id, ok: false, expected: oracle.stderr.split('\n')[0], got: 'loads', reason: 'accepted' };
  }
  if (loaded.code !== 0) return { id, ok: false, expected: 'loads', got: loaded.stderr.trim(), reason: 'refused' };
  // Recorded without state.
  const listed = nft(['-s', 'list', 'ruleset'], { netlink });
  const got = steady(listed.stdout).split('\n');
  const expected = steady(oracle.list).split('\n');
  const at = expected.findIndex((line, i) => line !== got[i]);
  if (at < 0 && expected.length === got.length) return { id, ok: true };
  const from = at < 0 ? expected.length : at;
  return {
    id,
    ok: false,
    expected: expected.slice(from, from + 3).join('\n'),
    got: listed.code === 0 ? got.slice(from, from + 3).join('\n') : listed.stderr,
    reason: `line ${from + 1} of the listing`,
  };
}

export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  for (const name of readdirSync(root).sort()) {
    const oracle = join(root, '../wild-nft-oracle', `${name}.json`);
    if (!name.endsWith('.nft') || (filter !== undefined && !filter.test(name)) || !existsSync(oracle)) continue;
    yield judge(name, readFileSync(join(root, name), 'utf8'), JSON.parse(readFileSync(oracle, 'utf8')) as Oracle);
  }
}
