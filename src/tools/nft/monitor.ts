/**
 * `nft monitor`: what changes in the ruleset, as it changes. Notifications of a batch are gathered until its generation
 * is announced and written together; the sets that rules and elements name are read from the host then.
 *
 *     const stop = startMonitor({ events: 'all' }, socket, names, flags, (text) => process.stdout.write(text));
 */
import { attrMap } from '../../wire/netlink/attr.ts';
import type { Message, NetlinkSocket } from '../../wire/netlink/message.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { NFNL_SUBSYS_NFTABLES, NFNLGRP_NFTABLES } from '../../wire/uapi/nfnetlink.ts';
import { NetlinkClient } from '../netlink-client.ts';
import { nfgenmsg } from './batch.ts';
import { readRuleset } from './cache.ts';
import type { Names } from './datatype.ts';
import { type Event, EventReader, kindOf } from './event.ts';
import { listOptions } from './list.ts';
import type { Flags } from './options.ts';
import { type Ruleset, text, u32 } from './views.ts';

/** What to tell: new things, things gone or both; of one kind of object or of all. */
export type MonitorFilter = {
  readonly events?: 'new' | 'destroy';
  readonly what?: 'tables' | 'chains' | 'rules' | 'sets' | 'elements' | 'ruleset';
};

const NFGENMSG_LENGTH = 4;

function wanted(filter: MonitorFilter, event: Event): boolean {
  if (filter.events !== undefined && (filter.events === 'destroy') !== event.gone) return false;
  const { what } = filter;
  if (what === undefined || what === 'ruleset') return true;
  return event.kind === what;
}

/** Events of messages that are one batch, with the ruleset after it. */
export function readEvents(
  messages: readonly Message[],
  rulesets: readonly Ruleset[],
  names: Names,
  flags: Partial<Flags>,
): Event[] {
  const reader = new EventReader(
    (family, table, name) => {
      for (const ruleset of rulesets) {
        const found = ruleset.tables
          .find((one) => one.family === family && one.name === table)
          ?.sets.find((set) => set.name === name);
        if (found !== undefined) return found;
      }
      return undefined;
    },
    listOptions(flags, names),
  );
  return [...messages.flatMap((m) => reader.read(m)), ...reader.rest()];
}

function generationLine(payload: Uint8Array): string {
  const a = attrMap(payload, NFGENMSG_LENGTH);
  const by = `${u32(a, U.NFTA_GEN_PROC_PID)} (${text(a, U.NFTA_GEN_PROC_NAME)})`;
  return `# new generation ${u32(a, U.NFTA_GEN_ID)} by process ${by}\n`;
}

/** The line about the generation in force. */
export function generation(socket: NetlinkSocket): string {
  const m = new NetlinkClient(socket).get((NFNL_SUBSYS_NFTABLES << 8) | U.NFT_MSG_GETGEN, nfgenmsg(0));
  return m === undefined ? '' : generationLine(m.payload);
}

/** Begins; the function returned ends it. */
export function startMonitor(
  filter: MonitorFilter,
  socket: NetlinkSocket,
  names: Names,
  flags: Partial<Flags>,
  write: (text: string) => void,
): () => void {
  if (socket.join === undefined) throw new Error('this host tells of no changes');
  let before = readRuleset(socket);
  let batch: Message[] = [];
  const committed = (m: Message): void => {
    const after = readRuleset(socket);
    // What is gone by now was there before.
    const events = readEvents(batch, [after, before], names, flags);
    before = after;
    batch = [];
    for (const event of events)
      if (wanted(filter, event)) write(`${flags.json ? JSON.stringify(event.json) : event.text}\n`);
    if (flags.json || filter.events === 'destroy' || (filter.what !== undefined && filter.what !== 'ruleset')) return;
    write(generationLine(m.payload));
  };
  return socket.join([NFNLGRP_NFTABLES], (m) => {
    if ((m.type & 255) === U.NFT_MSG_NEWGEN) committed(m);
    else if (kindOf(m) !== undefined) batch.push(m);
  });
}
