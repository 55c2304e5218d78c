/**
 * `conntrack -E`: what happens to connections (or expectations), line by line as it happens.
 *
 *     const session = conntrackEvents(['-E', '-p', 'tcp'], io, (line) => console.log(line));
 *     session.close(); // { code: 0, stdout: '', stderr: 'conntrack v1.4.7 ...: 3 flow events have been shown.\n' }
 */
import type { Message } from '../../wire/netlink/message.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import { NETLINK_NETFILTER, NLM_F_CREATE, NLM_F_EXCL } from '../../wire/uapi/netlink.ts';
import {
  NFNLGRP_CONNTRACK_DESTROY,
  NFNLGRP_CONNTRACK_EXP_DESTROY,
  NFNLGRP_CONNTRACK_EXP_NEW,
  NFNLGRP_CONNTRACK_EXP_UPDATE,
  NFNLGRP_CONNTRACK_NEW,
  NFNLGRP_CONNTRACK_UPDATE,
} from '../../wire/uapi/nfnetlink.ts';
import type { ToolIo, ToolResult } from '../io.ts';
import { VERSION } from './commands.ts';
import { printExpectation, readExpectation, xmlExpectation } from './expect.ts';
import { readFlow } from './flow.ts';
import { labelMap } from './labels.ts';
import { matches } from './match.ts';
import { ConntrackError, type Options, parseOptions } from './options.ts';
import { type EventKind, printFlow, type Show, saveFlow } from './print.ts';
import { XML_HEAD, XML_TAIL, xmlFlow } from './xml.ts';

export type EventSession = {
  /** Ends it; what the tool says at its end. */
  close(): ToolResult;
};

const FRESH = NLM_F_CREATE | NLM_F_EXCL;

function kindOf(m: Message): EventKind {
  if ((m.type & 255) === C.IPCTNL_MSG_CT_DELETE) return 3;
  return m.flags & FRESH ? 1 : 2;
}

function groupsOf(o: Options): number[] {
  if (o.table === 'expect')
    return [NFNLGRP_CONNTRACK_EXP_NEW, NFNLGRP_CONNTRACK_EXP_UPDATE, NFNLGRP_CONNTRACK_EXP_DESTROY];
  const wanted = o.events ?? 7;
  const all = [NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY];
  return all.filter((_group, i) => wanted & (1 << i));
}

/** The line of an event; undefined when the options do not want it. */
function lineOf(m: Message, o: Options, show: Show): string | undefined {
  const kind = kindOf(m);
  const xml = o.output.has('xml');
  if (o.table === 'expect') {
    const e = readExpectation(m);
    // Expectations count their messages differently.
    const own: EventKind = (m.type & 255) === C.IPCTNL_MSG_EXP_DELETE ? 3 : kind === 3 ? 1 : kind;
    return xml ? xmlExpectation(e, own) : printExpectation(e, own);
  }
  const flow = readFlow(m);
  if (!matches(flow, o)) return undefined;
  return o.output.has('save') ? saveFlow(flow, kind) : xml ? xmlFlow(flow, show, kind) : printFlow(flow, show, kind);
}

function stamp(ms: number): string {
  const us = Math.floor(ms * 1000);
  return `[${Math.floor(us / 1e6)}.${String(us % 1e6).padStart(6, '0')}]\t`;
}

/** Begins `conntrack -E`; each line goes to `print`, without its newline. Throws ConntrackError for wrong arguments. */
export function conntrackEvents(argv: readonly string[], io: ToolIo, print: (line: string) => void): EventSession {
  const labels = labelMap(io.readFile, () => {});
  const o = parseOptions(argv, labels);
  if (o.command !== 'E') throw new ConntrackError('only -E has a session');
  const socket = io.netlink.open(NETLINK_NETFILTER);
  if (socket.join === undefined) throw new ConntrackError('netloom hears no events over this transport', 1);
  let count = 0;
  const xml = o.output.has('xml');
  const leave = socket.join(groupsOf(o), (m) => {
    const nowMs = io.now?.() ?? 0;
    const line = lineOf(m, o, { output: o.output, labels, nowMs });
    if (line === undefined) return;
    if (count++ === 0 && xml) for (const head of XML_HEAD.trimEnd().split('\n')) print(head);
    print(o.output.has('timestamp') && !xml ? stamp(nowMs) + line : line);
  });
  return {
    close(): ToolResult {
      leave();
      const what = o.table === 'expect' ? 'expectation' : 'flow';
      return {
        code: 0,
        stdout: xml && count > 0 ? XML_TAIL : '',
        stderr: `${VERSION}: ${count} ${what} events have been shown.\n`,
      };
    },
  };
}
