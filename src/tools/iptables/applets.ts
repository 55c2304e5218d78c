/** The programs of iptables by the names under which they are installed. */
import type { Tool } from '../io.ts';
import { type Face, faceOf, makeIptables } from './iptables.ts';
import { arptables } from './link/arptables.ts';
import { ebtables } from './link/ebtables.ts';
import { linkCommand, linkRestore, linkSave } from './link/program.ts';
import { makeRestore } from './restore.ts';
import { makeSave } from './save.ts';

type Make = (face: Face) => Tool;

const PROGRAMS: Readonly<Record<string, Make>> = {
  iptables: (face) => makeIptables('iptables', 4, face),
  ip6tables: (face) => makeIptables('ip6tables', 6, face),
  'iptables-save': (face) => makeSave('iptables-save', 4, face),
  'ip6tables-save': (face) => makeSave('ip6tables-save', 6, face),
  'iptables-restore': (face) => makeRestore('iptables-restore', 4, face),
  'ip6tables-restore': (face) => makeRestore('ip6tables-restore', 6, face),
  arptables: (face) => linkCommand(arptables, face),
  'arptables-save': (face) => linkSave(arptables, face),
  'arptables-restore': (face) => linkRestore(arptables, face),
  ebtables: (face) => linkCommand(ebtables, face),
  'ebtables-save': (face) => linkSave(ebtables, face),
  'ebtables-restore': (face) => linkRestore(ebtables, face),
};

/**
 * A program by name: `iptables`, `iptables-nft-save`, `ip6tables-legacy-restore`... A name without a face gets `variant`.
 * Undefined when there is no such program.
 */
export function applet(name: string, variant: 'nft' | 'legacy' = 'nft', release = '1.8.9'): Tool | undefined {
  const m = /^([a-z0-9]+)(?:-(nft|legacy))?(-save|-restore|-xml)?$/.exec(name);
  if (m === null) return undefined;
  const program = `${m[1]}${m[3] ?? ''}`;
  if (!Object.hasOwn(PROGRAMS, program)) return undefined;
  return PROGRAMS[program](faceOf((m[2] as 'nft' | 'legacy' | undefined) ?? variant, release));
}
