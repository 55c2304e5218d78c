/** Connections as XML (`-o xml`). */
import { AF_INET } from '../../wire/address.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import type { Flow, FlowTuple } from './flow.ts';
import { type EventKind, lifetime, type Show } from './print.ts';
import { NAMES, TCP_STATES } from './protocols.ts';

export const XML_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<conntrack>\n';
export const XML_TAIL = '</conntrack>\n';

function tag(name: string, value: string | number | bigint): string {
  return `<${name}>${value}</${name}>`;
}

function direction(flow: Flow, t: FlowTuple, word: string, counters: readonly [bigint, bigint] | undefined): string {
  let out = `<meta direction="${word}"><layer3 protonum="${flow.family}" protoname="${flow.family === AF_INET ? 'ipv4' : 'ipv6'}">`;
  out += `${tag('src', t.src)}${tag('dst', t.dst)}</layer3>`;
  out += `<layer4 protonum="${t.proto}" protoname="${NAMES.get(t.proto) ?? 'unknown'}">`;
  if (t.ports !== undefined)
    out +=
      t.proto === 47
        ? tag('srckey', `0x${t.ports[0].toString(16)}`) + tag('dstkey', `0x${t.ports[1].toString(16)}`)
        : tag('sport', t.ports[0]) + tag('dport', t.ports[1]);
  out += '</layer4>';
  if (t.zone !== undefined) out += tag('zone', t.zone);
  if (counters !== undefined) out += `<counters>${tag('packets', counters[0])}${tag('bytes', counters[1])}</counters>`;
  return `${out}</meta>`;
}

function when(ms: number): string {
  const d = new Date(ms);
  const time = tag('hour', d.getUTCHours()) + tag('min', d.getUTCMinutes()) + tag('sec', d.getUTCSeconds());
  const date = tag('day', d.getUTCDate()) + tag('month', d.getUTCMonth() + 1) + tag('year', d.getUTCFullYear());
  return `<when>${time}${tag('wday', d.getUTCDay() + 1)}${date}</when>`;
}

const TYPES: Readonly<Record<EventKind, string>> = { 1: 'new', 2: 'update', 3: 'destroy' };

/** One connection on one line, without the newline. */
export function xmlFlow(flow: Flow, show: Show, event?: EventKind): string {
  let out = event === undefined ? '<flow>' : `<flow type="${TYPES[event]}">`;
  out += direction(flow, flow.orig, 'original', flow.counters[0]);
  out += direction(flow, flow.reply, 'reply', flow.counters[1]);
  out += '<meta direction="independent">';
  // The library prints every state with the words of TCP.
  if (flow.state !== undefined) out += tag('state', TCP_STATES[flow.state.number] ?? flow.state.name);
  if (flow.timeout !== undefined) out += tag('timeout', flow.timeout);
  if (flow.mark !== undefined && (event === undefined || flow.mark !== 0)) out += tag('mark', flow.mark);
  if (flow.secmark !== 0) out += tag('secmark', flow.secmark);
  if (flow.secctx !== undefined) out += tag('secctx', flow.secctx);
  if (flow.zone !== undefined) out += tag('zone', flow.zone);
  if (event === undefined && flow.use !== undefined) out += tag('use', flow.use);
  out += tag('id', flow.id);
  if (flow.status & C.IPS_ASSURED) out += '<assured/>';
  else if (!(flow.status & C.IPS_SEEN_REPLY)) out += '<unreplied/>';
  if (flow.helper !== undefined) out += tag('helper', flow.helper);
  if (show.output.has('labels') && flow.labels !== undefined && show.labels.found)
    out += `<labels>${flow.labels.map((bit) => tag('label', show.labels.name(bit) ?? String(bit))).join('')}</labels>`;
  if (show.output.has('ktimestamp') && flow.start !== undefined)
    out += `<timestamp>${tag('start', flow.start)}${flow.stop === undefined ? '' : tag('stop', flow.stop)}</timestamp>`;
  const seconds = lifetime(flow, show.nowMs);
  if (seconds !== undefined) out += tag('deltatime', seconds);
  out += '</meta>';
  if (event !== undefined && show.output.has('timestamp')) out += when(show.nowMs);
  return `${out}</flow>`;
}
