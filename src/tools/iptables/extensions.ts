/** The extensions that are there, by name and by the name and revision the kernel uses. */
import { addrtype } from './ext/addrtype.ts';
import { bpf } from './ext/bpf.ts';
import { cgroup } from './ext/cgroup.ts';
import { comment } from './ext/comment.ts';
import { connbytes, connlabel, connlimit, helper } from './ext/connection.ts';
import { CONNMARK } from './ext/connmark-target.ts';
import { conntrack, state } from './ext/conntrack.ts';
import { CT, NOTRACK } from './ext/ct.ts';
import { dccp } from './ext/dccp.ts';
import { DSCP, dscp } from './ext/dscp.ts';
import { hashlimit } from './ext/hashlimit.ts';
import { HMARK } from './ext/hmark-target.ts';
import { icmp, icmp6 } from './ext/icmp.ts';
import { iprange } from './ext/iprange.ts';
import { dst, frag, hbh, ipv6header, mh, rt } from './ext/ipv6-headers.ts';
import { ipvs } from './ext/ipvs.ts';
import { length } from './ext/length.ts';
import { limit } from './ext/limit.ts';
import { LOG } from './ext/log.ts';
import { mac } from './ext/mac.ts';
import { connmark, mark } from './ext/mark.ts';
import { MARK } from './ext/mark-target.ts';
import { DNPT, ECN, SNPT, TPROXY } from './ext/more-targets.ts';
import { multiport } from './ext/multiport.ts';
import { NAT_TARGETS } from './ext/nat.ts';
import { NFLOG } from './ext/nflog.ts';
import { NFQUEUE } from './ext/nfqueue.ts';
import { osf } from './ext/osf.ts';
import { owner } from './ext/owner.ts';
import { physdev } from './ext/physdev.ts';
import { pkttype } from './ext/pkttype.ts';
import { policy } from './ext/policy.ts';
import { CLUSTERIP, CONNSECMARK, IDLETIMER, LED, SECMARK, SYNPROXY } from './ext/rare-targets.ts';
import { RATEEST, rateest } from './ext/rateest.ts';
import { recent } from './ext/recent.ts';
import { REJECT } from './ext/reject.ts';
import { sctp } from './ext/sctp.ts';
import { SET, set } from './ext/set.ts';
import { cluster, cpu, devgroup, ecn, nfacct, quota, realm, rpfilter, socket } from './ext/small-matches.ts';
import { AUDIT, CHECKSUM, CLASSIFY, TCPOPTSTRIP, TEE, TRACE } from './ext/small-targets.ts';
import { ah, ah6, esp, ipcomp } from './ext/spi.ts';
import { srh } from './ext/srh.ts';
import { statistic } from './ext/statistic.ts';
import { string } from './ext/string.ts';
import { tcp } from './ext/tcp.ts';
import { TCPMSS, tcpmss } from './ext/tcpmss.ts';
import { time } from './ext/time.ts';
import { TOS, tos } from './ext/tos.ts';
import { hl, ttl } from './ext/ttl.ts';
import { HL, TTL } from './ext/ttl-target.ts';
import { u32 } from './ext/u32.ts';
import { udp } from './ext/udp.ts';
import type { Extension, Use } from './extension.ts';

const ALL: readonly Extension<object>[] = [
  tcp,
  udp,
  icmp,
  icmp6,
  multiport,
  conntrack,
  state,
  comment,
  mark,
  connmark,
  limit,
  hashlimit,
  addrtype,
  mac,
  iprange,
  recent,
  owner,
  physdev,
  pkttype,
  length,
  ttl,
  hl,
  dscp,
  tos,
  tcpmss,
  connbytes,
  connlabel,
  connlimit,
  helper,
  dccp,
  dst,
  frag,
  hbh,
  ipv6header,
  mh,
  rt,
  policy,
  sctp,
  cluster,
  cpu,
  devgroup,
  ecn,
  nfacct,
  quota,
  realm,
  rpfilter,
  socket,
  ah,
  ah6,
  esp,
  ipcomp,
  statistic,
  string,
  time,
  u32,
  bpf,
  cgroup,
  ipvs,
  osf,
  rateest,
  set,
  srh,
  CLUSTERIP,
  CONNSECMARK,
  HMARK,
  IDLETIMER,
  LED,
  RATEEST,
  SECMARK,
  SET,
  SYNPROXY,
  DNPT,
  ECN,
  SNPT,
  TPROXY,
  LOG,
  REJECT,
  MARK,
  CONNMARK,
  ...NAT_TARGETS,
  CT,
  NOTRACK,
  NFLOG,
  NFQUEUE,
  TTL,
  HL,
  DSCP,
  TOS,
  TCPMSS,
  CLASSIFY,
  CHECKSUM,
  TEE,
  TRACE,
  AUDIT,
  TCPOPTSTRIP,
];

/** Other names of matches. */
const ALIASES: Readonly<Record<string, string>> = { icmpv6: 'icmp6', 'ipv6-icmp': 'icmp6', 'mobility-header': 'mh' };

const BY_NAME: ReadonlyMap<string, Extension<object>> = new Map(
  ALL.flatMap((ext) =>
    (ext.family === undefined ? [4, 6] : [ext.family]).map((family): [string, Extension<object>] => [
      `${ext.kind} ${family} ${ext.name}`,
      ext,
    ]),
  ),
);
const BY_KERNEL: ReadonlyMap<string, readonly Extension<object>[]> = (() => {
  const map = new Map<string, Extension<object>[]>();
  for (const ext of ALL)
    for (const family of ext.family === undefined ? [4, 6] : [ext.family]) {
      const key = `${ext.kind} ${family} ${ext.realName ?? ext.name} ${ext.revision}`;
      map.set(key, [...(map.get(key) ?? []), ext]);
    }
  return map;
})();

/** An extension by the name after -m or -j; undefined when there is none. */
export function findExtension(kind: 'match' | 'target', name: string, family: 4 | 6): Extension<object> | undefined {
  return BY_NAME.get(`${kind} ${family} ${name}`) ?? BY_NAME.get(`${kind} ${family} ${ALIASES[name]}`);
}

/** The extension and state of a structure from the kernel. */
export function findByKernel(
  kind: 'match' | 'target',
  name: string,
  revision: number,
  family: 4 | 6,
  info: Uint8Array,
): Use | undefined {
  const list = BY_KERNEL.get(`${kind} ${family} ${name} ${revision}`) ?? [];
  for (const ext of list) {
    const state = ext.codec.decode(info);
    if (state !== undefined && (list.length === 1 || ext.owns === undefined || ext.owns(state))) return { ext, state };
  }
  return undefined;
}
