/** Which connections a command is about: the tool compares what the kernel dumped with its options. */
import { parseAddress, sameBytes } from '../../wire/address.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import type { Flow } from './flow.ts';
import type { Address, NatOption, Options } from './options.ts';
import { stateNumber } from './protocols.ts';

function within(text: string, wanted: Address, mask: Uint8Array | undefined): boolean {
  const have = parseAddress(text) ?? new Uint8Array(wanted.address.length);
  const m = mask ?? wanted.mask;
  return wanted.address.every((byte, i) => ((have[i] ^ byte) & m[i]) === 0);
}

/** The translated end of a connection, of one direction; undefined when there is no translation. */
function translated(flow: Flow, kind: 'src' | 'dst'): { address: string; port: number } | undefined {
  const { orig, reply } = flow;
  const [was, now] = kind === 'src' ? [orig.src, reply.dst] : [orig.dst, reply.src];
  const [from, to] = kind === 'src' ? [orig.ports?.[0], reply.ports?.[1]] : [orig.ports?.[1], reply.ports?.[0]];
  if (was === now && from === to) return undefined;
  return { address: now, port: to ?? 0 };
}

function natFits(flow: Flow, kind: 'src' | 'dst', wanted: NatOption): boolean {
  const now = translated(flow, kind);
  if (now === undefined) return false;
  if (wanted.port !== undefined && wanted.port !== now.port) return false;
  if (wanted.address === undefined) return true;
  const have = parseAddress(now.address);
  // IPv6 addresses are not compared: conntrack 1.4.7 does not either.
  return have?.length === wanted.address.length && (have.length === 16 || sameBytes(have, wanted.address));
}

function natMatches(flow: Flow, o: Options): boolean {
  const any = o.nat.get('any');
  if (any !== undefined) return natFits(flow, 'src', any) || natFits(flow, 'dst', any);
  for (const kind of ['src', 'dst'] as const) {
    const wanted = o.nat.get(kind);
    if (wanted !== undefined && !natFits(flow, kind, wanted)) return false;
  }
  return true;
}

function portsMatch(flow: Flow, o: Options): boolean {
  const have: Readonly<Record<string, number | undefined>> = {
    os: flow.orig.ports?.[0],
    od: flow.orig.ports?.[1],
    rs: flow.reply.ports?.[0],
    rd: flow.reply.ports?.[1],
    type: flow.orig.icmp?.type,
    code: flow.orig.icmp?.code,
    id: flow.orig.icmp?.id,
    ovtag: flow.vtags?.[0],
    rvtag: flow.vtags?.[1],
  };
  for (const [key, want] of o.ports) if (key in have && have[key] !== want) return false;
  return true;
}

/** True when a connection is one that the options name. With `update`, what `-U` sets does not select. */
export function matches(flow: Flow, o: Options, update = false): boolean {
  if (o.family !== undefined && flow.family !== o.family) return false;
  if (o.proto !== undefined && flow.orig.proto !== o.proto) return false;
  for (const [key, wanted] of o.addresses) {
    const tuple = key === 's' || key === 'd' ? flow.orig : flow.reply;
    const source = key === 's' || key === 'r';
    const mask = key === 's' ? o.maskSrc : key === 'd' ? o.maskDst : undefined;
    if (!within(source ? tuple.src : tuple.dst, wanted, mask)) return false;
  }
  if (!portsMatch(flow, o)) return false;
  if (o.id !== undefined && flow.id !== o.id) return false;
  if (o.zone !== undefined && (flow.zone ?? 0) !== o.zone) return false;
  if (o.origZone !== undefined && (flow.orig.zone ?? 0) !== o.origZone) return false;
  if (o.replyZone !== undefined && (flow.reply.zone ?? 0) !== o.replyZone) return false;
  if (o.secmark !== undefined && flow.secmark !== o.secmark) return false;
  if (o.labels.length > 0 && !o.labels.every((bit) => flow.labels?.includes(bit))) return false;
  if (!natMatches(flow, o)) return false;
  if (update) return true;
  if (o.state !== undefined && flow.state?.number !== stateNumber(flow.orig.proto, o.state)) return false;
  if (o.mark !== undefined && (((flow.mark ?? 0) & o.mark.mask) ^ o.mark.value) !== 0) return false;
  return o.status === undefined || (flow.status & o.status & ~C.IPS_CONFIRMED) === o.status;
}
