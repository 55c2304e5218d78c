/**
 * Suite `netfilter/nft-dumps`: dumps of whole rulesets. `TOPIC/TEST.nft` loads into a netloom host and must list as it is
 * written (a fixed point); with `TEST.json-nft` beside it the listing in JSON must be that one, and the JSON, loaded with
 * `nft -j -f`, must list as itself (`...:json-list`, `...:json`). Handles are not compared.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { World } from '../src/core/world.ts';
import { hostNetlink } from '../src/netlink/host-netlink.ts';
import { Host } from '../src/netns/host.ts';
import { nft } from '../src/tools/nft/index.ts';
import type { Json } from '../src/tools/nft/json/types.ts';
import type { NetlinkTransport } from '../src/wire/netlink/message.ts';
import type { CaseResult } from './suite.ts';

/** The dumps are of a tree on the way from 1.1.0 to 1.1.1. */
const release = '1.1.0';

const newHost = (): NetlinkTransport => hostNetlink(new Host(new World({ slots: 64 }), 'host'));

/** What runs by itself: remaining times. */
const steady = (text: string): string => text.replace(/ expires [0-9a-z]+/g, '').trim();

function differs(id: string, group: string, expected: string, got: string): CaseResult {
  const left = steady(expected).split('\n');
  const right = steady(got).split('\n');
  const at = left.findIndex((line, i) => line !== right[i]);
  if (at < 0 && left.length === right.length) return { id, ok: true, group };
  const from = at < 0 ? left.length : at;
  const show = (lines: readonly string[]): string => lines.slice(from, from + 2).join('\n');
  return { id, ok: false, group, expected: show(left), got: show(right), reason: `line ${from + 1}` };
}

/** One entry a line, its keys in order, without handles and versions. */
function entries(text: string): string {
  const plain = (value: Json): unknown => {
    if (Array.isArray(value)) return (value as readonly Json[]).map(plain);
    if (typeof value !== 'object' || value === null) return value;
    const kept = Object.entries(value).filter(([key]) => key !== 'handle' && key !== 'expires');
    return Object.fromEntries(kept.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, one]) => [key, plain(one as Json)]));
  };
  const { nftables } = JSON.parse(text) as { nftables: readonly Json[] };
  const lines = nftables.map((one) => JSON.stringify(plain(one)));
  return lines.filter((line) => !line.startsWith('{"metainfo"')).join('\n');
}

function* judge(root: string, name: string): Generator<CaseResult> {
  const text = readFileSync(join(root, name), 'utf8');
  const netlink = newHost();
  const loaded = nft(['-f', '-'], { netlink, stdin: text });
  if (loaded.code !== 0)
    yield { id: name, ok: false, group: 'text', reason: loaded.stderr.split('\n').slice(0, 2).join(' ') };
  else yield differs(name, 'text', text, nft(['list', 'ruleset'], { netlink, release }).stdout);
  const path = join(root, name.replace(/\.nft$/, '.json-nft'));
  if (!existsSync(path)) return;
  const json = readFileSync(path, 'utf8');
  if (loaded.code === 0) {
    const listed = nft(['-j', 'list', 'ruleset'], { netlink, release }).stdout;
    yield differs(`${name}:json-list`, 'JSON listing', entries(json), entries(listed));
  }
  const other = newHost();
  const read = nft(['-j', '-f', '-'], { netlink: other, stdin: json });
  if (read.code !== 0) yield { id: `${name}:json`, ok: false, group: 'JSON input', reason: read.stderr.split('\n')[0] };
  else {
    const listed = nft(['-j', 'list', 'ruleset'], { netlink: other, release }).stdout;
    yield differs(`${name}:json`, 'JSON input', entries(json), entries(listed));
  }
}

export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  for (const folder of readdirSync(root).sort())
    for (const entry of readdirSync(join(root, folder)).sort()) {
      const name = `${folder}/${entry}`;
      if (entry.endsWith('.nft') && (filter === undefined || filter.test(name))) yield* judge(root, name);
    }
}
