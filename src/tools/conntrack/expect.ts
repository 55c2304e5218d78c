/** Expectations: read from ctnetlink, printed, made and named in requests. */
import { AttrWriter, attrMap, getBeU16, getBeU32, getString } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import { buildOriginal, writeHalf } from './build.ts';
import { type FlowTuple, readTuple } from './flow.ts';
import type { Options } from './options.ts';
import type { EventKind } from './print.ts';
import { NAMES } from './protocols.ts';

export type Expectation = {
  readonly family: number;
  readonly timeout: number;
  readonly tuple: FlowTuple;
  readonly mask: FlowTuple;
  readonly master: FlowTuple;
  readonly zone: number | undefined;
  readonly flags: number;
  readonly class: number;
  readonly helper: string | undefined;
  readonly id: number;
};

/** Reads an IPCTNL_MSG_EXP_NEW or IPCTNL_MSG_EXP_DELETE message. */
export function readExpectation(m: Message): Expectation {
  const family = m.payload[0];
  const attrs = attrMap(m.payload, 4);
  const u32 = (type: number): number => {
    const attr = attrs.get(type);
    return attr === undefined ? 0 : getBeU32(attr.payload);
  };
  const tuple = (type: number): FlowTuple =>
    readTuple(attrs.get(type) ?? { type, offset: 0, payload: new Uint8Array() }, family);
  const helper = attrs.get(C.CTA_EXPECT_HELP_NAME);
  const zone = attrs.get(C.CTA_EXPECT_ZONE);
  return {
    family,
    timeout: u32(C.CTA_EXPECT_TIMEOUT),
    tuple: tuple(C.CTA_EXPECT_TUPLE),
    mask: tuple(C.CTA_EXPECT_MASK),
    master: tuple(C.CTA_EXPECT_MASTER),
    zone: zone && getBeU16(zone.payload),
    flags: u32(C.CTA_EXPECT_FLAGS),
    class: u32(C.CTA_EXPECT_CLASS),
    helper: helper && getString(helper.payload),
    id: u32(C.CTA_EXPECT_ID),
  };
}

const EVENT_WORDS: Readonly<Record<EventKind, string>> = { 1: '[NEW]', 2: '[UPDATE]', 3: '[DESTROY]' };
const FLAG_WORDS: readonly (readonly [number, string])[] = [
  [C.NF_CT_EXPECT_PERMANENT, 'PERMANENT'],
  [C.NF_CT_EXPECT_INACTIVE, 'INACTIVE'],
  [C.NF_CT_EXPECT_USERSPACE, 'USERSPACE'],
];

function side(t: FlowTuple, prefix: string): string {
  const ports =
    t.ports === undefined
      ? ''
      : t.proto === 47
        ? `srckey=0x${t.ports[0].toString(16)} dstkey=0x${t.ports[1].toString(16)} `
        : `sport=${t.ports[0]} dport=${t.ports[1]} `;
  return prefix === 'mask'
    ? `mask-src=${t.src} mask-dst=${t.dst} ${t.ports === undefined ? '' : `sport=${t.ports[0]} dport=${t.ports[1]} `}`
    : prefix === 'master'
      ? `master-src=${t.src} master-dst=${t.dst} ${ports}`
      : `src=${t.src} dst=${t.dst} ${ports}`;
}

/** One line, without the newline, as `conntrack -L expect` prints it. */
export function printExpectation(e: Expectation, event?: EventKind): string {
  let out = event === undefined ? '' : `${EVENT_WORDS[event].padStart(9)} `;
  out += `${e.timeout} proto=${e.tuple.proto} `;
  out += side(e.tuple, '') + side(e.mask, 'mask') + side(e.master, 'master');
  if (e.zone !== undefined && e.zone !== 0) out += `zone=${e.zone} `;
  const flags = FLAG_WORDS.filter(([bit]) => e.flags & bit).map(([, word]) => word);
  if (flags.length > 0) out += `${flags.join(',')} `;
  out += `class=${e.class} `;
  if (e.helper !== undefined && e.helper !== '') out += `helper=${e.helper}`;
  return out.trimEnd();
}

/** One line of XML. */
export function xmlExpectation(e: Expectation, event?: EventKind): string {
  const all = [
    ['expected', e.tuple],
    ['mask', e.mask],
    ['master', e.master],
  ] as const;
  let out =
    event === undefined ? '<flow>' : `<flow type="${event === 1 ? 'new' : event === 2 ? 'update' : 'destroy'}">`;
  out += `<layer3 protonum="${e.family}" protoname="${e.family === 2 ? 'ipv4' : 'ipv6'}">`;
  for (const [name, t] of all) out += `<${name}><src>${t.src}</src><dst>${t.dst}</dst></${name}>`;
  out += `</layer3><layer4 protonum="${e.tuple.proto}" protoname="${NAMES.get(e.tuple.proto) ?? 'unknown'}">`;
  for (const [name, t] of all)
    if (t.ports !== undefined) out += `<${name}><sport>${t.ports[0]}</sport><dport>${t.ports[1]}</dport></${name}>`;
  out += '</layer4><meta>';
  if (e.helper !== undefined && e.helper !== '') out += `<helper-name>${e.helper}</helper-name>`;
  out += `<timeout>${e.timeout}</timeout><class>${e.class}</class>`;
  if (e.zone !== undefined && e.zone !== 0) out += `<zone>${e.zone}</zone>`;
  for (const [bit, word] of FLAG_WORDS) if (e.flags & bit) out += `<${word.toLowerCase()}/>`;
  return `${out}</meta></flow>`;
}

function begin(o: Options): AttrWriter {
  return new AttrWriter().raw(Uint8Array.of(o.family ?? 2, 0, 0, 0));
}

/** The request that makes an expectation. */
export function expectationRequest(o: Options): Uint8Array {
  const w = begin(o);
  buildOriginal(w, C.CTA_EXPECT_MASTER, o);
  const size = o.family === 10 ? 16 : 4;
  const none = new Uint8Array(size);
  const port = (key: 'ts' | 'td' | 'ms' | 'md'): number => o.ports.get(key) ?? 0;
  const src = o.addresses.get('tuple-src')?.address ?? none;
  const dst = o.addresses.get('tuple-dst')?.address ?? none;
  writeHalf(w, C.CTA_EXPECT_TUPLE, { src, dst, a: port('ts'), b: port('td') }, o, false);
  const mask = { src: o.maskSrc ?? none, dst: o.maskDst ?? none, a: port('ms'), b: port('md') };
  writeHalf(w, C.CTA_EXPECT_MASK, mask, o, false);
  return w.beU32(C.CTA_EXPECT_TIMEOUT, o.timeout ?? 0).finish();
}

/** The request that names an expectation by its tuple. */
export function expectationKey(o: Options): Uint8Array {
  const w = begin(o);
  buildOriginal(w, C.CTA_EXPECT_TUPLE, o);
  return w.finish();
}
