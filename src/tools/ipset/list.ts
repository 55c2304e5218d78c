/** Listings of sets: plain, as commands that restore them, and as XML. */

import { type Attr, attrMap, getBeU32, getString, readAttrs } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import * as U from '../../wire/uapi/ipset.ts';
import type { SetType } from '../../wire/uapi/ipset-types.ts';
import { elementText } from './element.ts';
import { extensionsText, headerText, needType } from './options.ts';

export type ListedSet = {
  readonly name: string;
  readonly type: SetType | undefined;
  readonly revision: number;
  readonly header: string;
  readonly memory: number;
  readonly references: number;
  readonly entries: number;
  readonly members: { readonly element: string; readonly extensions: string }[];
};

type Attrs = ReadonlyMap<number, Attr>;

const number = (attrs: Attrs, type: number): number => {
  const attr = attrs.get(type);
  return attr === undefined ? 0 : getBeU32(attr.payload);
};

/** The sets of a dump; one set may be spread over several messages. */
export function readSets(messages: readonly Message[], sorted: boolean): ListedSet[] {
  const out: ListedSet[] = [];
  for (const m of messages) {
    const attrs = attrMap(m.payload, 4);
    const name = getString(attrs.get(U.IPSET_ATTR_SETNAME)?.payload ?? new Uint8Array());
    const typeName = attrs.get(U.IPSET_ATTR_TYPENAME);
    const data = attrs.get(U.IPSET_ATTR_DATA);
    if (typeName !== undefined || data === undefined) {
      if (out[out.length - 1]?.name !== name) out.push(readHead(name, attrs));
    }
    const set = out[out.length - 1];
    const adt = attrs.get(U.IPSET_ATTR_ADT);
    if (adt === undefined || set.type === undefined) continue;
    for (const entry of readAttrs(adt.payload)) {
      const inner = attrMap(entry.payload);
      set.members.push({ element: elementText(set.type, inner), extensions: extensionsText(inner) });
    }
  }
  if (sorted)
    for (const set of out) set.members.sort((a, b) => (a.element < b.element ? -1 : a.element > b.element ? 1 : 0));
  return out;
}

function readHead(name: string, attrs: Attrs): ListedSet {
  const typeName = attrs.get(U.IPSET_ATTR_TYPENAME);
  const type = typeName === undefined ? undefined : needType(getString(typeName.payload));
  const data = attrMap(attrs.get(U.IPSET_ATTR_DATA)?.payload ?? new Uint8Array());
  const family = attrs.get(U.IPSET_ATTR_FAMILY)?.payload[0] ?? 0;
  return {
    name,
    type,
    revision: attrs.get(U.IPSET_ATTR_REVISION)?.payload[0] ?? 0,
    header: type === undefined ? '' : headerText(type, family, data),
    memory: number(data, U.CADT_MEMSIZE),
    references: number(data, U.CADT_REFERENCES),
    entries: number(data, U.CADT_ELEMENTS),
    members: [],
  };
}

export function listText(sets: readonly ListedSet[], terse: boolean): string {
  return sets
    .map((set) => {
      const lines = [
        `Name: ${set.name}`,
        `Type: ${set.type?.name}`,
        `Revision: ${set.revision}`,
        `Header: ${set.header}`,
        `Size in memory: ${set.memory}`,
        `References: ${set.references}`,
        `Number of entries: ${set.entries}`,
        ...(terse ? [] : ['Members:', ...set.members.map((m) => m.element + m.extensions)]),
      ];
      return `${lines.join('\n')}\n`;
    })
    .join('\n');
}

/** Commands that make the sets anew. */
export function saveText(sets: readonly ListedSet[]): string {
  return sets
    .map((set) =>
      [
        `create ${set.name} ${set.type?.name} ${set.header}`,
        ...set.members.map((m) => `add ${set.name} ${m.element}${m.extensions}`),
      ].join('\n'),
    )
    .map((text) => `${text}\n`)
    .join('');
}

const xml = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** "family inet counters" as <family>inet</family><counters/>. */
function wordsXml(text: string): string {
  let out = '';
  const words = [...text.matchAll(/(\S+)(?:\s+("[^"]*"|[^\s"]+))?/g)];
  for (const m of words) {
    // Words without a value stand alone; what follows them is a word of its own.
    if (ALONE.includes(m[1])) {
      out += `<${m[1]}/>`;
      if (m[2] !== undefined) out += wordsXml(m[2] + text.slice((m.index ?? 0) + m[0].length));
      if (m[2] !== undefined) return out;
    } else out += `<${m[1]}>${xml((m[2] ?? '').replaceAll('"', ''))}</${m[1]}>`;
  }
  return out;
}
const ALONE: readonly string[] = ['counters', 'comment', 'skbinfo', 'forceadd', 'nomatch', 'wildcard'];

export function xmlText(sets: readonly ListedSet[], names: boolean, terse: boolean): string {
  const one = (set: ListedSet): string => {
    if (names) return `<ipset name="${xml(set.name)}">\n</ipset>\n`;
    const head = `<ipset name="${xml(set.name)}">\n<type>${set.type?.name}</type>\n<revision>${set.revision}</revision>\n<header>${wordsXml(set.header)}\n<memsize>${set.memory}</memsize>\n<references>${set.references}</references>\n<numentries>${set.entries}</numentries>\n</header>\n`;
    if (terse) return `${head}</ipset>\n`;
    const members = set.members
      .map((m) => {
        // An element's comment has a value, unlike the option of that name.
        const comment = / comment "([^"]*)"/.exec(m.extensions);
        const rest = wordsXml(m.extensions.replace(/ comment "[^"]*"/, '').trim());
        return `<member><elem>${xml(m.element)}</elem>${rest}${comment === null ? '' : `<comment>"${xml(comment[1])}"</comment>`}</member>\n`;
      })
      .join('');
    return `${head}<members>\n${members}</members>\n</ipset>\n`;
  };
  return `<ipsets>\n${sets.map(one).join('')}</ipsets>\n`;
}
