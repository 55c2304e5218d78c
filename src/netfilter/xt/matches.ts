/** All matches of the kernel's half. */
import type { XtMatch } from './extension.ts';
import { addrtype, iprange, policy, rpfilter } from './match/address.ts';
import { bpf } from './match/bpf.ts';
import { connbytes, connlabel, connlimit, connmark, conntrack, helper } from './match/conntrack.ts';
import { string, u32 } from './match/content.ts';
import { ebtMark, ebtPkttype } from './match/ebt.ts';
import { cgroup, cluster, ipvs, nfacct, osf, socket } from './match/host.ts';
import { ah6, dst, frag, hbh, ipv6header, mh, rt } from './match/ipv6-headers.ts';
import {
  comment,
  cpu,
  devgroup,
  dscp,
  ecn,
  hl,
  length,
  mac,
  mark,
  physdev,
  pkttype,
  realm,
  tos,
  ttl,
} from './match/packet.ts';
import { rateest } from './match/rateest.ts';
import { sctp } from './match/sctp.ts';
import { set } from './match/set.ts';
import { srh } from './match/srh.ts';
import { hashlimit, limit, owner, quota, recent, statistic, time } from './match/stateful.ts';
import { ah, dccp, esp, icmp, icmp6, ipcomp, multiport, tcp, tcpmss, udp } from './match/transport.ts';

export const MATCHES: readonly XtMatch<object>[] = [
  addrtype,
  ah,
  ah6,
  bpf,
  cgroup,
  cluster,
  ipvs,
  nfacct,
  osf,
  rateest,
  set,
  socket,
  srh,
  comment,
  connbytes,
  connlabel,
  connlimit,
  connmark,
  conntrack,
  cpu,
  dccp,
  devgroup,
  dscp,
  dst,
  frag,
  hbh,
  ipv6header,
  mh,
  rt,
  ecn,
  esp,
  hashlimit,
  helper,
  hl,
  icmp,
  icmp6,
  ipcomp,
  iprange,
  length,
  limit,
  mac,
  mark,
  multiport,
  owner,
  physdev,
  pkttype,
  ebtMark,
  ebtPkttype,
  policy,
  quota,
  realm,
  recent,
  rpfilter,
  sctp,
  statistic,
  string,
  tcp,
  tcpmss,
  time,
  tos,
  ttl,
  u32,
  udp,
];
