/** Keys of `meta`, `ct`, `rt` and `socket` by name, with their types (nft(8), "PRIMARY EXPRESSIONS"). */
import * as uapi from '../../wire/uapi/nf-tables.ts';
import type { ByteOrder, Datatype } from './datatype.ts';
import * as dt from './datatype.ts';

export type Key = {
  readonly name: string;
  readonly key: number;
  readonly type: Datatype;
  readonly len: number;
  readonly byteorder: ByteOrder;
  /** ct keys: 'no' takes no direction, 'must' needs one, 'may' either. */
  readonly direction?: 'no' | 'may' | 'must';
};

const k = (name: string, key: number, type: Datatype, len: number, byteorder: ByteOrder = 'host'): Key => ({
  name,
  key,
  type,
  len,
  byteorder,
});
const IFNAMSIZ = 128;

/** In the order in which nft knows them; the first name of a key is the one that is printed. */
export const metaKeys: readonly Key[] = [
  k('length', uapi.NFT_META_LEN, dt.integerType, 32),
  k('protocol', uapi.NFT_META_PROTOCOL, dt.ethertypeType, 16, 'big'),
  k('nfproto', uapi.NFT_META_NFPROTO, dt.nfprotoType, 8),
  k('l4proto', uapi.NFT_META_L4PROTO, dt.inetProtoType, 8),
  k('priority', uapi.NFT_META_PRIORITY, dt.classidType, 32),
  k('mark', uapi.NFT_META_MARK, dt.markType, 32),
  k('iif', uapi.NFT_META_IIF, dt.ifindexType, 32),
  k('iifname', uapi.NFT_META_IIFNAME, dt.ifnameType, IFNAMSIZ),
  k('iiftype', uapi.NFT_META_IFTYPE, dt.arphrdType, 16),
  k('oif', uapi.NFT_META_OIF, dt.ifindexType, 32),
  k('oifname', uapi.NFT_META_OIFNAME, dt.ifnameType, IFNAMSIZ),
  k('oiftype', uapi.NFT_META_OIFTYPE, dt.arphrdType, 16),
  k('skuid', uapi.NFT_META_SKUID, dt.uidType, 32),
  k('skgid', uapi.NFT_META_SKGID, dt.gidType, 32),
  k('nftrace', uapi.NFT_META_NFTRACE, dt.integerType, 1),
  k('rtclassid', uapi.NFT_META_RTCLASSID, dt.realmType, 32),
  k('ibrname', uapi.NFT_META_BRI_IIFNAME, dt.ifnameType, IFNAMSIZ),
  k('obrname', uapi.NFT_META_BRI_OIFNAME, dt.ifnameType, IFNAMSIZ),
  k('pkttype', uapi.NFT_META_PKTTYPE, dt.pkttypeType, 8),
  k('cpu', uapi.NFT_META_CPU, dt.integerType, 32),
  k('iifgroup', uapi.NFT_META_IIFGROUP, dt.devgroupType, 32),
  k('oifgroup', uapi.NFT_META_OIFGROUP, dt.devgroupType, 32),
  k('cgroup', uapi.NFT_META_CGROUP, dt.integerType, 32),
  k('random', uapi.NFT_META_PRANDOM, dt.integerType, 32, 'big'),
  k('ipsec', uapi.NFT_META_SECPATH, dt.booleanType, 8),
  k('secpath', uapi.NFT_META_SECPATH, dt.booleanType, 8),
  k('iifkind', uapi.NFT_META_IIFKIND, dt.ifnameType, IFNAMSIZ),
  k('oifkind', uapi.NFT_META_OIFKIND, dt.ifnameType, IFNAMSIZ),
  k('ibrpvid', uapi.NFT_META_BRI_IIFPVID, dt.integerType, 16),
  k('ibrvproto', uapi.NFT_META_BRI_IIFVPROTO, dt.ethertypeType, 16, 'big'),
  k('time', uapi.NFT_META_TIME_NS, dt.dateType, 64),
  k('day', uapi.NFT_META_TIME_DAY, dt.dayType, 8),
  k('hour', uapi.NFT_META_TIME_HOUR, dt.hourType, 32),
  k('secmark', uapi.NFT_META_SECMARK, dt.integerType, 32),
  k('sdif', uapi.NFT_META_SDIF, dt.ifindexType, 32),
  k('sdifname', uapi.NFT_META_SDIFNAME, dt.ifnameType, IFNAMSIZ),
  k('broute', uapi.NFT_META_BRI_BROUTE, dt.integerType, 8),
  k('ibriport', uapi.NFT_META_BRI_IIFNAME, dt.ifnameType, IFNAMSIZ),
  k('obriport', uapi.NFT_META_BRI_OIFNAME, dt.ifnameType, IFNAMSIZ),
];

/** Meta keys that may stand without the word `meta`. */
export const bareMetaKeys: ReadonlySet<string> = new Set([
  'mark',
  'iif',
  'iifname',
  'iiftype',
  'oif',
  'oifname',
  'oiftype',
  'skuid',
  'skgid',
  'nftrace',
  'rtclassid',
  'ibrname',
  'obrname',
  'ibriport',
  'obriport',
  'pkttype',
  'cpu',
  'iifgroup',
  'oifgroup',
  'cgroup',
  'ipsec',
  'time',
  'day',
  'hour',
]);

const c = (
  name: string,
  key: number,
  type: Datatype,
  len: number,
  byteorder: ByteOrder = 'host',
  direction: Key['direction'] = 'no',
): Key => ({ name, key, type, len, byteorder, direction });

export const ctKeys: readonly Key[] = [
  c('state', uapi.NFT_CT_STATE, dt.ctStateType, 32),
  c('direction', uapi.NFT_CT_DIRECTION, dt.ctDirType, 8, 'invalid'),
  c('status', uapi.NFT_CT_STATUS, dt.ctStatusType, 32),
  c('mark', uapi.NFT_CT_MARK, dt.markType, 32),
  c('expiration', uapi.NFT_CT_EXPIRATION, dt.timeType, 32),
  c('helper', uapi.NFT_CT_HELPER, dt.stringType, 128),
  c('l3proto', uapi.NFT_CT_L3PROTOCOL, dt.nfprotoType, 8, 'host', 'may'),
  c('saddr', uapi.NFT_CT_SRC, dt.invalidType, 0, 'big', 'must'),
  c('daddr', uapi.NFT_CT_DST, dt.invalidType, 0, 'big', 'must'),
  c('protocol', uapi.NFT_CT_PROTOCOL, dt.inetProtoType, 8, 'big', 'may'),
  c('proto-src', uapi.NFT_CT_PROTO_SRC, dt.inetServiceType, 16, 'big', 'must'),
  c('proto-dst', uapi.NFT_CT_PROTO_DST, dt.inetServiceType, 16, 'big', 'must'),
  c('label', uapi.NFT_CT_LABELS, dt.ctLabelType, 128),
  c('packets', uapi.NFT_CT_PKTS, dt.integerType, 64, 'host', 'may'),
  c('bytes', uapi.NFT_CT_BYTES, dt.integerType, 64, 'host', 'may'),
  c('avgpkt', uapi.NFT_CT_AVGPKT, dt.integerType, 64, 'host', 'may'),
  c('zone', uapi.NFT_CT_ZONE, dt.integerType, 16, 'host', 'may'),
  c('event', uapi.NFT_CT_EVENTMASK, dt.ctEventType, 32),
  c('ip saddr', uapi.NFT_CT_SRC_IP, dt.ipaddrType, 32, 'big', 'must'),
  c('ip daddr', uapi.NFT_CT_DST_IP, dt.ipaddrType, 32, 'big', 'must'),
  c('ip6 saddr', uapi.NFT_CT_SRC_IP6, dt.ip6addrType, 128, 'big', 'must'),
  c('ip6 daddr', uapi.NFT_CT_DST_IP6, dt.ip6addrType, 128, 'big', 'must'),
  c('secmark', uapi.NFT_CT_SECMARK, dt.integerType, 32),
  c('id', uapi.NFT_CT_ID, dt.integerType, 32, 'big'),
];

export const rtKeys: readonly Key[] = [
  k('classid', uapi.NFT_RT_CLASSID, dt.realmType, 32),
  k('nexthop', uapi.NFT_RT_NEXTHOP4, dt.ipaddrType, 32, 'big'),
  k('nexthop', uapi.NFT_RT_NEXTHOP6, dt.ip6addrType, 128, 'big'),
  k('mtu', uapi.NFT_RT_TCPMSS, dt.integerType, 16),
  k('ipsec', uapi.NFT_RT_XFRM, dt.booleanType, 8),
];

export const socketKeys: readonly Key[] = [
  k('transparent', uapi.NFT_SOCKET_TRANSPARENT, dt.integerType, 8),
  k('mark', uapi.NFT_SOCKET_MARK, dt.markType, 32),
  k('wildcard', uapi.NFT_SOCKET_WILDCARD, dt.integerType, 8),
  k('cgroupv2', uapi.NFT_SOCKET_CGROUPV2, dt.cgroupv2Type, 64),
];
