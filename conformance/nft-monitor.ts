/**
 * Suite `netfilter/nft-monitor`: what `nft monitor` and `nft -j monitor` print for commands. A file's `I` lines are run, then
 * the `O` lines (`-`: the same as the commands) and the `J` lines (handles zeroed) are what must have been printed. Each file
 * is played twice, from an empty host: ids `FILE#LINE text` and `FILE#LINE json`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { World } from '../src/core/world.ts';
import { hostNetlink } from '../src/netlink/host-netlink.ts';
import { Host } from '../src/netns/host.ts';
import { nft } from '../src/tools/nft/index.ts';
import type { CaseResult } from './suite.ts';

type Step = { readonly line: number; readonly inputs: string[]; readonly outputs: string[]; readonly json: string[] };

function steps(text: string): Step[] {
  const out: Step[] = [];
  let kind = '';
  text.split('\n').forEach((line, i) => {
    const [, letter, body] = /^([IOJ]) (.*)$/.exec(line) ?? [];
    if (letter === undefined) return;
    if (letter === 'I' && kind !== 'I') out.push({ line: i + 1, inputs: [], outputs: [], json: [] });
    kind = letter;
    const step = out[out.length - 1];
    if (letter === 'I') step.inputs.push(body);
    else if (letter === 'J') step.json.push(body);
    else if (body === '-') step.outputs.push(...step.inputs);
    else step.outputs.push(body);
  });
  return out;
}

function zeroed(json: string): string {
  return json.replace(/"handle":\s*\d+/g, '"handle": 0');
}

function* play(file: string, text: string, json: boolean): Iterable<CaseResult> {
  const netlink = hostNetlink(new Host(new World({ slots: 64 }), 'host'));
  let heard = '';
  nft([...(json ? ['-j'] : []), 'monitor'], {
    netlink,
    follow: (start) => {
      start((more) => {
        heard += more;
      });
    },
  });
  for (const step of steps(text)) {
    heard = '';
    const refused = step.inputs
      .map((input) => nft(input.split(' '), { netlink }))
      .filter((ran) => ran.code !== 0)
      .map((ran) => ran.stderr);
    const got = heard
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'));
    const normal = (line: string): string => (json ? JSON.stringify(JSON.parse(zeroed(line))) : line);
    const expected = (json ? step.json : step.outputs).map(normal).join('\n');
    const printed = [...refused, ...got.map(normal)].join('\n');
    const id = `${file}#${step.line} ${json ? 'json' : 'text'}`;
    if (json && step.json.length === 0) continue;
    yield { id, ok: expected === printed, expected, got: printed, group: json ? 'json' : 'text' };
  }
}

export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  for (const name of readdirSync(root).sort()) {
    if (!name.endsWith('.t') || (filter !== undefined && !filter.test(name))) continue;
    const text = readFileSync(join(root, name), 'utf8');
    for (const json of [false, true]) yield* play(name.slice(0, -2), text, json);
  }
}
