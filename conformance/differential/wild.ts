/**
 * Real people's rulesets that load in the oracle's namespace: interfaces of theirs are given the names of the two taps, so
 * that their rules meet packets.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sharedFolder } from './peer.ts';

/** Texts of the wild rulesets that the real nft loads, with `include` lines and empty ones left out. */
export function wildRulesets(): string[] {
  const folder = join(sharedFolder(), 'conformance/netfilter/wild-nft');
  const oracle = join(sharedFolder(), 'conformance/netfilter/wild-nft-oracle');
  if (!existsSync(folder) || !existsSync(oracle)) return [];
  const texts: string[] = [];
  for (const name of readdirSync(folder).sort()) {
    const verdict = join(oracle, `${name}.json`);
    if (!existsSync(verdict)) continue;
    const { rc, list } = JSON.parse(readFileSync(verdict, 'utf8')) as { rc: number; list?: string };
    // What the real nft listed is a ruleset without includes and definitions.
    if (rc !== 0 || !list) continue;
    texts.push(withTaps(list));
  }
  return texts;
}

/** Gives the interfaces named in a ruleset the names t0 and t1, in turns. */
function withTaps(text: string): string {
  const names = new Map<string, string>();
  return text.replace(/\b([io]ifname (?:!= )?)("[^"*]+")/g, (_, words: string, name: string) => {
    if (!names.has(name)) names.set(name, name === '"lo"' ? name : `"t${names.size % 2}"`);
    return words + names.get(name);
  });
}
