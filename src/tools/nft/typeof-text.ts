/**
 * `typeof` of a set as nft(8) keeps it in user data (the expression taken apart), back to text. Expressions that are not
 * known here leave the set with its plain types.
 */
import { ctKeys, metaKeys } from './keys.ts';
import { proto } from './proto.ts';
import { UDATA_NETLOOM_DATA_TYPEOF, UDATA_NETLOOM_KEY_TYPEOF } from './typeof-udata.ts';
import { parseUdata, type Tlv, UDATA_SET_DATA_TYPEOF, UDATA_SET_KEY_TYPEOF } from './userdata.ts';

const EXPR_PAYLOAD = 7;
const EXPR_META = 9;
const EXPR_CT = 12;
const EXPR_CONCAT = 13;
const ANY_DIRECTION = 0xffffffff;

/** Protocols by nft's numbers, from 1. */
const PROTOCOLS: readonly string[] = [
  'unknown',
  ...['ah', 'esp', 'comp', 'icmp', 'igmp', 'udp', 'udplite', 'tcp', 'dccp', 'sctp', 'th', 'ip', 'ip6', 'icmpv6', 'arp'],
  ...['vlan', 'ether'],
];
const BARE: ReadonlySet<string> = new Set(['iif', 'oif', 'iifname', 'oifname', 'iifgroup', 'oifgroup']);

/** What one expression says of a part of a key: its text and, for header fields, their bits. */
export type TypeofPart = { readonly text: string; readonly len?: number };

const u32 = (list: readonly Tlv[], type: number): number | undefined => {
  const tlv = list.find((one) => one.type === type);
  if (tlv === undefined || tlv.value.length < 4) return undefined;
  return new DataView(tlv.value.buffer, tlv.value.byteOffset, 4).getUint32(0, true);
};

function parts(bytes: Uint8Array): TypeofPart[] | undefined {
  const list = parseUdata(bytes);
  const nested = list.find((tlv) => tlv.type === 1);
  if (nested === undefined) return undefined;
  const own = parseUdata(nested.value);
  switch (u32(list, 0)) {
    case EXPR_CONCAT: {
      const all = own.map((tlv) => parts(tlv.value));
      return all.some((part) => part === undefined) ? undefined : all.flatMap((part) => part ?? []);
    }
    case EXPR_META: {
      const name = metaKeys.find((key) => key.key === u32(own, 0))?.name;
      return name === undefined ? undefined : [{ text: BARE.has(name) ? name : `meta ${name}` }];
    }
    case EXPR_CT: {
      const name = ctKeys.find((key) => key.key === u32(own, 0))?.name;
      const direction = u32(own, 1);
      if (name === undefined) return undefined;
      return [
        {
          text: `ct ${direction === undefined || direction === ANY_DIRECTION ? '' : direction ? 'reply ' : 'original '}${name}`,
        },
      ];
    }
    case EXPR_PAYLOAD: {
      const name = PROTOCOLS[u32(own, 0) ?? 0];
      if (name === undefined || name === 'unknown') return undefined;
      const field = proto(name).fields[(u32(own, 1) ?? 0) - 1];
      return field === undefined ? undefined : [{ text: `${name} ${field.name}`, len: field.len }];
    }
    default:
      return undefined;
  }
}

const utf8 = new TextDecoder();

/** The members of `typeof` of the key or the data; undefined when the set was declared with types. */
export function typeofParts(udata: readonly Tlv[], what: 'key' | 'data'): TypeofPart[] | undefined {
  const standard = udata.find((tlv) => tlv.type === (what === 'key' ? UDATA_SET_KEY_TYPEOF : UDATA_SET_DATA_TYPEOF));
  if (standard !== undefined) return parts(standard.value);
  const written = udata.find(
    (tlv) => tlv.type === (what === 'key' ? UDATA_NETLOOM_KEY_TYPEOF : UDATA_NETLOOM_DATA_TYPEOF),
  );
  if (written === undefined) return undefined;
  const text = utf8.decode(written.value).replace(/\0.*$/, '');
  return text.split(/ ?\. ?/).map((part) => {
    const [first, second] = part.split(' ');
    if (first === 'meta' && BARE.has(second)) return { text: second };
    if (first === 'mark' || first === 'skuid' || first === 'skgid' || first === 'cpu') return { text: `meta ${part}` };
    const field = PROTOCOLS.includes(first) ? proto(first).fields.find((one) => one.name === second) : undefined;
    return field === undefined ? { text: part } : { text: part, len: field.len };
  });
}
