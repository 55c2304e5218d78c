/** Every xt structure survives encoding and decoding, and has the size that iptables sends. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addrtype } from './addrtype.ts';
import { ah } from './ah.ts';
import { ah6 } from './ah6.ts';
import { auditTarget } from './audit-target.ts';
import { bpf } from './bpf.ts';
import { cgroup } from './cgroup.ts';
import { checksumTarget } from './checksum-target.ts';
import { classifyTarget } from './classify-target.ts';
import { cluster } from './cluster.ts';
import { clusteripTarget } from './clusterip-target.ts';
import { comment } from './comment.ts';
import { connbytes } from './connbytes.ts';
import { connlabel } from './connlabel.ts';
import { connlimit } from './connlimit.ts';
import { connmark } from './connmark.ts';
import { connmarkTarget } from './connmark-target.ts';
import { conntrack } from './conntrack.ts';
import { cpu } from './cpu.ts';
import { ctTarget } from './ct-target.ts';
import { dccp } from './dccp.ts';
import { devgroup } from './devgroup.ts';
import { dscp } from './dscp.ts';
import { dscpTarget } from './dscp-target.ts';
import { ecn } from './ecn.ts';
import { ecnTarget } from './ecn-target.ts';
import { esp } from './esp.ts';
import { frag } from './frag.ts';
import { hashlimit } from './hashlimit.ts';
import { helper } from './helper.ts';
import { hmarkTarget } from './hmark-target.ts';
import { icmp } from './icmp.ts';
import { idletimerTarget } from './idletimer-target.ts';
import { ipcomp } from './ipcomp.ts';
import { iprange } from './iprange.ts';
import { ipv6header } from './ipv6header.ts';
import { ipvs } from './ipvs.ts';
import { ledTarget } from './led-target.ts';
import { length } from './length.ts';
import { limit } from './limit.ts';
import { logTarget } from './log-target.ts';
import { mac } from './mac.ts';
import { mark } from './mark.ts';
import { markTarget } from './mark-target.ts';
import { mh } from './mh.ts';
import { multiport } from './multiport.ts';
import { natRange1 } from './nat-range1.ts';
import { natRange2 } from './nat-range2.ts';
import { natRange4 } from './nat-range4.ts';
import { nfacct } from './nfacct.ts';
import { nflogTarget } from './nflog-target.ts';
import { nfqueueTarget } from './nfqueue-target.ts';
import { nptTarget } from './npt-target.ts';
import { opts } from './opts.ts';
import { osf } from './osf.ts';
import { owner } from './owner.ts';
import { physdev } from './physdev.ts';
import { pkttype } from './pkttype.ts';
import { policy } from './policy.ts';
import { quota } from './quota.ts';
import { rateest } from './rateest.ts';
import { rateestTarget } from './rateest-target.ts';
import { realm } from './realm.ts';
import { recent } from './recent.ts';
import { rejectTarget } from './reject-target.ts';
import { rpfilter } from './rpfilter.ts';
import { rt } from './rt.ts';
import { sctp } from './sctp.ts';
import { secmarkTarget } from './secmark-target.ts';
import { setMatch, setTarget } from './set.ts';
import { socket } from './socket.ts';
import { srh } from './srh.ts';
import { statistic } from './statistic.ts';
import { stringMatch } from './string.ts';
import type { Codec } from './struct.ts';
import { synproxyTarget } from './synproxy-target.ts';
import { tcp } from './tcp.ts';
import { tcpmss } from './tcpmss.ts';
import { tcpmssTarget } from './tcpmss-target.ts';
import { tcpoptstripTarget } from './tcpoptstrip-target.ts';
import { teeTarget } from './tee-target.ts';
import { time } from './time.ts';
import { tos } from './tos.ts';
import { tosTarget } from './tos-target.ts';
import { tproxyTarget } from './tproxy-target.ts';
import { ttl } from './ttl.ts';
import { ttlTarget } from './ttl-target.ts';
import { u32Match } from './u32.ts';
import { udp } from './udp.ts';

const ALL: Readonly<Record<string, Codec<object>>> = {
  bpf,
  cgroup,
  clusteripTarget,
  hmarkTarget,
  idletimerTarget,
  ipvs,
  ledTarget,
  osf,
  rateest,
  rateestTarget,
  secmarkTarget,
  setMatch,
  setTarget,
  srh,
  synproxyTarget,

  tcp: tcp as unknown as Codec<object>,
  udp: udp as unknown as Codec<object>,
  icmp: icmp as unknown as Codec<object>,
  multiport: multiport as unknown as Codec<object>,
  conntrack: conntrack as unknown as Codec<object>,
  comment: comment as unknown as Codec<object>,
  mark: mark as unknown as Codec<object>,
  connmark: connmark as unknown as Codec<object>,
  limit: limit as unknown as Codec<object>,
  hashlimit: hashlimit as unknown as Codec<object>,
  addrtype: addrtype as unknown as Codec<object>,
  mac: mac as unknown as Codec<object>,
  iprange: iprange as unknown as Codec<object>,
  recent: recent as unknown as Codec<object>,
  owner: owner as unknown as Codec<object>,
  physdev: physdev as unknown as Codec<object>,
  pkttype: pkttype as unknown as Codec<object>,
  length: length as unknown as Codec<object>,
  ttl: ttl as unknown as Codec<object>,
  dscp: dscp as unknown as Codec<object>,
  tos: tos as unknown as Codec<object>,
  stringMatch: stringMatch as unknown as Codec<object>,
  statistic: statistic as unknown as Codec<object>,
  tcpmss: tcpmss as unknown as Codec<object>,
  u32Match: u32Match as unknown as Codec<object>,
  sctp: sctp as unknown as Codec<object>,
  dccp: dccp as unknown as Codec<object>,
  esp: esp as unknown as Codec<object>,
  ah: ah as unknown as Codec<object>,
  ah6: ah6 as unknown as Codec<object>,
  ipcomp: ipcomp as unknown as Codec<object>,
  connlimit: connlimit as unknown as Codec<object>,
  connbytes: connbytes as unknown as Codec<object>,
  connlabel: connlabel as unknown as Codec<object>,
  time: time as unknown as Codec<object>,
  realm: realm as unknown as Codec<object>,
  rpfilter: rpfilter as unknown as Codec<object>,
  socket: socket as unknown as Codec<object>,
  policy: policy as unknown as Codec<object>,
  helper: helper as unknown as Codec<object>,
  quota: quota as unknown as Codec<object>,
  cpu: cpu as unknown as Codec<object>,
  nfacct: nfacct as unknown as Codec<object>,
  ecn: ecn as unknown as Codec<object>,
  devgroup: devgroup as unknown as Codec<object>,
  cluster: cluster as unknown as Codec<object>,
  frag: frag as unknown as Codec<object>,
  ipv6header: ipv6header as unknown as Codec<object>,
  opts: opts as unknown as Codec<object>,
  rt: rt as unknown as Codec<object>,
  mh: mh as unknown as Codec<object>,
  logTarget: logTarget as unknown as Codec<object>,
  rejectTarget: rejectTarget as unknown as Codec<object>,
  markTarget: markTarget as unknown as Codec<object>,
  connmarkTarget: connmarkTarget as unknown as Codec<object>,
  natRange4: natRange4 as unknown as Codec<object>,
  natRange1: natRange1 as unknown as Codec<object>,
  natRange2: natRange2 as unknown as Codec<object>,
  tcpmssTarget: tcpmssTarget as unknown as Codec<object>,
  tcpoptstripTarget: tcpoptstripTarget as unknown as Codec<object>,
  ctTarget: ctTarget as unknown as Codec<object>,
  nflogTarget: nflogTarget as unknown as Codec<object>,
  nfqueueTarget: nfqueueTarget as unknown as Codec<object>,
  ttlTarget: ttlTarget as unknown as Codec<object>,
  dscpTarget: dscpTarget as unknown as Codec<object>,
  tosTarget: tosTarget as unknown as Codec<object>,
  classifyTarget: classifyTarget as unknown as Codec<object>,
  checksumTarget: checksumTarget as unknown as Codec<object>,
  teeTarget: teeTarget as unknown as Codec<object>,
  ecnTarget: ecnTarget as unknown as Codec<object>,
  auditTarget: auditTarget as unknown as Codec<object>,
  tproxyTarget: tproxyTarget as unknown as Codec<object>,
  nptTarget: nptTarget as unknown as Codec<object>,
};

test('every xt structure decodes to what was encoded, and encodes back to the same bytes', () => {
  for (const [name, codec] of Object.entries(ALL)) {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: codec.size, maxLength: codec.size }), (data) => {
        // Printable bytes only: text fields hold UTF-8, and end at their first NUL.
        const value = codec.decode(data.map((b) => (b & 0x3f) + 0x30));
        expect(value, name).toBeDefined();
        const wire = codec.encode(value as object);
        expect(wire.length).toBe(codec.size);
        expect(codec.decode(wire)).toEqual(value);
        expect(codec.encode(codec.decode(wire) as object)).toEqual(wire);
      }),
      { numRuns: 20 },
    );
    expect(codec.decode(new Uint8Array(codec.size > 8 ? codec.size - 8 : 0)), name).toBeUndefined();
  }
});

test('structures have the sizes of the C declarations', () => {
  const sizes = {
    conntrack: 168,
    multiport: 48,
    hashlimit: 312,
    recent: 232,
    ctTarget: 72,
    natRange4: 24,
    natRange2: 48,
    bpf: 528,
    cgroup: 528,
    clusteripTarget: 64,
    hmarkTarget: 64,
    idletimerTarget: 48,
    ipvs: 40,
    ledTarget: 40,
    osf: 48,
    rateest: 72,
    rateestTarget: 32,
    secmarkTarget: 264,
    setMatch: 48,
    setTarget: 24,
    srh: 112,
    synproxyTarget: 8,
  };
  for (const [name, size] of Object.entries(sizes)) expect(ALL[name].size, name).toBe(size);
});
