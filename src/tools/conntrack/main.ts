/**
 * conntrack(8) as a function: list, get, delete, create, update, flush and count connections over netlink.
 *
 *     const { stdout } = conntrack(['-L', '-p', 'tcp'], io);
 */
import { strerror } from '../../core/errno.ts';
import { AttrWriter, getBeU32, readAttrs } from '../../wire/netlink/attr.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import { NETLINK_NETFILTER, NLM_F_CREATE, NLM_F_EXCL } from '../../wire/uapi/netlink.ts';
import { NFNL_SUBSYS_CTNETLINK } from '../../wire/uapi/nfnetlink.ts';
import type { ToolIo, ToolResult } from '../io.ts';
import { NetlinkClient, NetlinkError } from '../netlink-client.ts';
import { addressBytesOf, buildTuple } from './build.ts';

import { type Flow, printFlow, readFlow, stateNumber } from './flow.ts';
import { ConntrackError, type Options, parseOptions } from './options.ts';

const VERSION = 'conntrack v1.4.7 (conntrack-tools)';
const STATUS: ReadonlyMap<string, number> = new Map([
  ['ASSURED', C.IPS_ASSURED],
  ['SEEN_REPLY', C.IPS_SEEN_REPLY],
  ['SRC_NAT', C.IPS_SRC_NAT_DONE],
  ['DST_NAT', C.IPS_DST_NAT_DONE],
  ['FIXED_TIMEOUT', C.IPS_FIXED_TIMEOUT],
]);

function type(command: number): number {
  return (NFNL_SUBSYS_CTNETLINK << 8) | command;
}

function header(family: number): AttrWriter {
  return new AttrWriter().raw(Uint8Array.of(family, 0, 0, 0));
}

function matches(flow: Flow, o: Options): boolean {
  if (o.family !== undefined && flow.family !== o.family) return false;
  if (o.proto !== undefined && flow.orig.proto !== o.proto) return false;
  for (const [letter, { address, mask }] of o.addresses) {
    const tuple = letter === 's' || letter === 'd' ? flow.orig : flow.reply;
    const have = addressBytesOf(letter === 's' || letter === 'r' ? tuple.src : tuple.dst);
    for (let bit = 0; bit < mask; bit++) if ((have[bit >> 3] ^ address[bit >> 3]) & (0x80 >> (bit & 7))) return false;
  }
  const have: Record<string, number | undefined> = {
    os: flow.orig.ports?.[0],
    od: flow.orig.ports?.[1],
    rs: flow.reply.ports?.[0],
    rd: flow.reply.ports?.[1],
    ...flow.orig.icmp,
  };
  for (const [key, want] of o.ports) if (have[key] !== want) return false;
  if (o.state !== undefined && flow.state !== o.state) return false;
  if (o.mark !== undefined && (flow.mark & o.mark.mask) >>> 0 !== o.mark.value) return false;
  if (o.zone !== undefined && (flow.zone ?? flow.orig.zone ?? flow.reply.zone ?? 0) !== o.zone) return false;
  for (const word of o.status) {
    const bit = word === 'UNREPLIED' || word === 'UNSET' ? 0 : STATUS.get(word);
    if (bit === undefined) throw new ConntrackError(`Bad status value \`${word}'`);
    if (word === 'UNREPLIED' ? flow.status & C.IPS_SEEN_REPLY : bit !== 0 && !(flow.status & bit)) return false;
  }
  return natMatches(flow, o);
}

function natMatches(flow: Flow, o: Options): boolean {
  if (o.nat === undefined) return true;
  const { kind, address } = o.nat;
  const source = flow.orig.src !== flow.reply.dst || flow.orig.ports?.[0] !== flow.reply.ports?.[1];
  const destination = flow.orig.dst !== flow.reply.src || flow.orig.ports?.[1] !== flow.reply.ports?.[0];
  const [text, port] = address?.split(':') ?? [];
  const src = source && (!text || flow.reply.dst === text) && (!port || flow.reply.ports?.[1] === Number(port));
  const dst = destination && (!text || flow.reply.src === text) && (!port || flow.reply.ports?.[0] === Number(port));
  return kind === 'src' ? src : kind === 'dst' ? dst : src || dst;
}

function settings(w: AttrWriter, o: Options): void {
  if (o.timeout !== undefined) w.beU32(C.CTA_TIMEOUT, o.timeout);
  if (o.mark !== undefined) {
    w.beU32(C.CTA_MARK, o.mark.value);
    if (o.mark.mask !== 0xffffffff) w.beU32(C.CTA_MARK_MASK, o.mark.mask);
  }
  if (o.status.length > 0) {
    const bits = o.status.reduce((sum, word) => {
      const bit = word === 'UNSET' ? 0 : STATUS.get(word);
      if (bit === undefined) throw new ConntrackError(`Bad status value \`${word}'`);
      return sum | bit | (bit === C.IPS_ASSURED ? C.IPS_SEEN_REPLY : 0);
    }, 0);
    w.beU32(C.CTA_STATUS, bits | C.IPS_CONFIRMED);
  }
  if (o.state !== undefined && o.proto === 6) {
    const state = stateNumber(6, o.state);
    if (state < 0) throw new ConntrackError(`unknown state ${o.state}`);
    w.nest(C.CTA_PROTOINFO, (n) => n.nest(C.CTA_PROTOINFO_TCP, (t) => t.u8(C.CTA_PROTOINFO_TCP_STATE, state)));
  }
}

function done(lines: readonly string[], word: string): ToolResult {
  return {
    code: 0,
    stdout: lines.map((line) => `${line}\n`).join(''),
    stderr: `${VERSION}: ${lines.length} flow entries have been ${word}.\n`,
  };
}

function run(o: Options, client: NetlinkClient): ToolResult {
  const show = { id: o.output.has('id'), labels: o.output.has('labels') };
  const list = (): Flow[] => {
    const command = o.zero ? C.IPCTNL_MSG_CT_GET_CTRZERO : C.IPCTNL_MSG_CT_GET;
    const w = header(o.family ?? 0);
    return client
      .dump(type(command), w.finish())
      .map(readFlow)
      .filter((flow) => matches(flow, o));
  };
  const named = (flow: Flow): AttrWriter => {
    const w = header(flow.family);
    w.bytes(C.CTA_TUPLE_ORIG | 0x8000, flow.attrs.get(C.CTA_TUPLE_ORIG)!.payload);
    w.bytes(C.CTA_TUPLE_REPLY | 0x8000, flow.attrs.get(C.CTA_TUPLE_REPLY)!.payload);
    if (flow.zone !== undefined) w.beU16(C.CTA_ZONE, flow.zone);
    return w;
  };
  switch (o.command) {
    case 'L':
      return done(
        list().map((flow) => printFlow(flow, show)),
        'shown',
      );
    case 'D': {
      const flows = list();
      if (flows.length === 0) return { code: 1, stdout: '', stderr: `${VERSION}: 0 flow entries have been deleted.\n` };
      for (const flow of flows)
        client.request(type(C.IPCTNL_MSG_CT_DELETE), 0, named(flow).beU32(C.CTA_ID, flow.id).finish());
      return done(
        flows.map((flow) => printFlow(flow, show)),
        'deleted',
      );
    }
    case 'U': {
      const flows = list1(client, o);
      const lines = flows.map((flow) => {
        const w = named(flow);
        settings(w, o);
        client.request(type(C.IPCTNL_MSG_CT_NEW), 0, w.finish());
        const now = client.request(type(C.IPCTNL_MSG_CT_GET), 0, named(flow).finish())[0];
        return printFlow(now === undefined ? flow : readFlow(now), show);
      });
      return lines.length > 0
        ? done(lines, 'updated')
        : { code: 1, stdout: '', stderr: `${VERSION}: 0 flow entries have been updated.\n` };
    }
    case 'I': {
      const w = header(o.family ?? 2);
      buildTuple(w, o);
      settings(w, o);
      if (o.zone !== undefined) w.beU16(C.CTA_ZONE, o.zone);
      const made = w.finish();
      client.request(type(C.IPCTNL_MSG_CT_NEW), NLM_F_CREATE | NLM_F_EXCL, made);
      const keys = header(o.family ?? 2);
      for (const a of readAttrs(made, 4))
        if (a.type === C.CTA_TUPLE_ORIG || a.type === C.CTA_ZONE)
          keys.bytes(a.type | (a.type === C.CTA_ZONE ? 0 : 0x8000), a.payload);
      const flow = client.request(type(C.IPCTNL_MSG_CT_GET), 0, keys.finish())[0];
      return done(flow === undefined ? [] : [printFlow(readFlow(flow), show)], 'created');
    }
    case 'G': {
      const w = header(o.family ?? 2);
      buildTuple(w, o, 'orig');
      if (o.zone !== undefined) w.beU16(C.CTA_ZONE, o.zone);
      const flow = client.request(type(C.IPCTNL_MSG_CT_GET), 0, w.finish())[0];
      return done(flow === undefined ? [] : [printFlow(readFlow(flow), show)], 'shown');
    }
    case 'F':
      client.request(type(C.IPCTNL_MSG_CT_DELETE), 0, header(o.family ?? 0).finish());
      return { code: 0, stdout: '', stderr: `${VERSION}: connection tracking table has been emptied.\n` };
    default: {
      const answer = client.request(type(C.IPCTNL_MSG_CT_GET_STATS), 0, header(0).finish())[0];
      const entries = readAttrs(answer.payload, 4).find((a) => a.type === C.CTA_STATS_GLOBAL_ENTRIES);
      return { code: 0, stdout: `${entries === undefined ? 0 : getBeU32(entries.payload)}\n`, stderr: '' };
    }
  }
}

/** The connections an update is about: what it sets does not select. */
function list1(client: NetlinkClient, o: Options): Flow[] {
  const filter: Options = { ...o, mark: undefined, status: [], state: undefined };
  return client
    .dump(type(C.IPCTNL_MSG_CT_GET), header(o.family ?? 0).finish())
    .map(readFlow)
    .filter((flow) => matches(flow, filter));
}

/** Runs `conntrack ARGV`. */
export function conntrack(argv: readonly string[], io: ToolIo): ToolResult {
  try {
    return run(parseOptions(argv), new NetlinkClient(io.netlink.open(NETLINK_NETFILTER)));
  } catch (error) {
    if (error instanceof ConntrackError)
      return {
        code: error.code,
        stdout: '',
        stderr: `${VERSION}: ${error.message}\nTry \`conntrack -h' or 'conntrack --help' for more information.\n`,
      };
    if (error instanceof NetlinkError)
      return {
        code: 1,
        stdout: '',
        stderr: `${VERSION}: Operation failed: ${error.extack ?? strerror(error.errno)}\n`,
      };
    throw error;
  }
}
