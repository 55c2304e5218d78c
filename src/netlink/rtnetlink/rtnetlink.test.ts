import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EINVAL, ENODEV } from '../../core/errno.ts';
import { World } from '../../core/world.ts';
import { Host } from '../../netns/host.ts';
import { ip } from '../../tools/ip/main.ts';
import { parseIpv4 } from '../../wire/address.ts';
import { AttrWriter, attrMap, getString, getU32, readAttrs } from '../../wire/netlink/attr.ts';
import { emitMessages, type Message, parseMessages, readAck } from '../../wire/netlink/message.ts';
import { emitIfAddr, emitIfInfo, emitRt, parseRt, RTMSG_LENGTH } from '../../wire/netlink/rtnetlink.ts';
import {
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  NLMSG_DONE,
} from '../../wire/uapi/netlink.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import { rtnetlinkHost } from './inet-host.ts';
import { Rtnetlink } from './rtnetlink.ts';

function start(): { rtnetlink: Rtnetlink; run: (line: string) => string; world: World } {
  const world = new World({ slots: 64, largeSlots: 2 });
  const host = new Host(world, 'test');
  host.setSysctl('net.ipv6.conf.default.accept_dad', '0');
  const rtnetlink = new Rtnetlink(rtnetlinkHost(host));
  const netlink = { open: () => ({ send: (d: Uint8Array) => rtnetlink.handle(d) }) };
  const run = (line: string): string => {
    const { stdout, stderr } = ip(line.split(' '), { netlink });
    return stdout + stderr;
  };
  return { rtnetlink, run, world };
}

function ask(rtnetlink: Rtnetlink, type: number, flags: number, payload: Uint8Array): Message[] {
  return rtnetlink.handle(emitMessages([{ type, flags: NLM_F_REQUEST | flags, seq: 7, port: 9, payload }]));
}

test('a dump is parts with NLM_F_MULTI and an end, all with the sequence number of the request', () => {
  const { rtnetlink, run } = start();
  run('link add d0 type dummy');
  const replies = ask(rtnetlink, u.RTM_GETLINK, NLM_F_DUMP, emitIfInfo({}));
  expect(replies.map((m) => m.type)).toEqual([u.RTM_NEWLINK, u.RTM_NEWLINK, NLMSG_DONE]);
  expect(replies.every((m) => m.flags & NLM_F_MULTI && m.seq === 7)).toBe(true);
  const names = replies.slice(0, 2).map((m) => getString(attrMap(m.payload, 16).get(u.IFLA_IFNAME)!.payload));
  expect(names).toEqual(['lo', 'd0']);
});

test('an error is acknowledged with errno and text, success with errno 0', () => {
  const { rtnetlink } = start();
  // iproute2 probes with a request for index 0 without a name.
  const [probe] = ask(rtnetlink, u.RTM_NEWLINK, NLM_F_ACK, emitIfInfo({}));
  expect(readAck(probe)).toMatchObject({ errno: ENODEV, seq: 7 });
  const [up] = ask(rtnetlink, u.RTM_NEWLINK, NLM_F_ACK, emitIfInfo({ index: 1, flags: 1, change: 1 }));
  expect(readAck(up)).toMatchObject({ errno: 0 });
  const bad = new AttrWriter().raw(emitIfAddr({ family: 2, prefixLength: 24, index: 1 })).finish();
  const [refused] = ask(rtnetlink, u.RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, bad);
  expect(readAck(refused)).toMatchObject({ errno: EINVAL, message: 'ipv4: Local address is not supplied' });
});

test('a route has the attributes of the kernel in the order of the kernel', () => {
  const { rtnetlink, run } = start();
  for (const line of ['link set lo up', 'link add d0 type dummy', 'link set d0 up', 'addr add 10.0.0.1/24 dev d0'])
    expect(run(line)).toBe('');
  expect(run('route add 1.0.0.0/8 via 10.0.0.2 metric 5 mtu 1300 src 10.0.0.1')).toBe('');
  const dst = parseIpv4('1.2.3.4')!;
  const query = new AttrWriter()
    .raw(emitRt({ family: 2, dstLength: 32 }))
    .bytes(u.RTA_DST, dst)
    .finish();
  const [answer] = ask(rtnetlink, u.RTM_GETROUTE, 0, query);
  expect(parseRt(answer.payload)).toMatchObject({ type: u.RTN_UNICAST, dstLength: 32, flags: u.RTM_F_CLONED });
  expect(readAttrs(answer.payload, RTMSG_LENGTH).map((a) => a.type)).toEqual([
    u.RTA_TABLE,
    u.RTA_DST,
    u.RTA_OIF,
    u.RTA_PREFSRC,
    u.RTA_GATEWAY,
    u.RTA_METRICS,
    u.RTA_UID,
    u.RTA_CACHEINFO,
  ]);
  const dump = ask(rtnetlink, u.RTM_GETROUTE, NLM_F_DUMP, emitRt({ family: 2 }));
  const route = dump.find((m) => m.type === u.RTM_NEWROUTE && parseRt(m.payload).dstLength === 8)!;
  expect(readAttrs(route.payload, RTMSG_LENGTH).map((a) => a.type)).toEqual([
    u.RTA_TABLE,
    u.RTA_DST,
    u.RTA_PRIORITY,
    u.RTA_METRICS,
    u.RTA_PREFSRC,
    u.RTA_GATEWAY,
    u.RTA_OIF,
  ]);
});

test('listeners hear of links, addresses, routes, rules and neighbours, of their groups only', () => {
  const { rtnetlink, run } = start();
  const heard: string[] = [];
  const names = new Map<number, string>(
    Object.entries(u).flatMap(([k, v]) => (k.startsWith('RTM_') && v < 128 ? [[v, k] as const] : [])),
  );
  const groups = [u.RTNLGRP_LINK, u.RTNLGRP_IPV4_IFADDR, u.RTNLGRP_IPV4_ROUTE, u.RTNLGRP_IPV4_RULE, u.RTNLGRP_NEIGH];
  const stop = rtnetlink.groups.join(groups, (m, group) => heard.push(`${group} ${names.get(m.type)}`));
  const said = (line: string): string[] => {
    heard.length = 0;
    expect(run(line)).toBe('');
    return [...new Set(heard)];
  };
  expect(said('link add d0 type dummy')).toEqual(['1 RTM_NEWLINK']);
  expect(said('link set d0 up')).toEqual(['1 RTM_NEWLINK']);
  expect(said('addr add 10.0.0.1/24 dev d0')).toEqual(['5 RTM_NEWADDR', '7 RTM_NEWROUTE']);
  expect(said('route add 1.0.0.0/8 via 10.0.0.2')).toEqual(['7 RTM_NEWROUTE']);
  expect(said('route del 1.0.0.0/8')).toEqual(['7 RTM_DELROUTE']);
  expect(said('rule add from 1.0.0.0/8 table 5')).toEqual(['8 RTM_NEWRULE']);
  expect(said('neigh add 10.0.0.5 lladdr 02:00:00:00:00:05 dev d0')).toEqual(['3 RTM_NEWNEIGH']);
  expect(said('addr add 2001:db8::1/64 dev d0')).toEqual([]);
  expect(said('link del d0')).toContain('1 RTM_DELLINK');
  stop();
  expect(said('link add d1 type dummy')).toEqual([]);
});

test('any bytes are answered or passed over, never thrown at', () => {
  const { rtnetlink, run } = start();
  run('link add d0 type dummy');
  run('link set d0 up');
  const types = [16, 17, 18, 20, 21, 22, 24, 25, 26, 28, 29, 30, 32, 33, 34, 40, 99];
  const attr = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.uint8Array({ maxLength: 40 }));
  const payload = fc.tuple(fc.uint8Array({ maxLength: 24 }), fc.array(attr, { maxLength: 6 })).map(([head, list]) => {
    const w = new AttrWriter().raw(Uint8Array.from(head));
    for (const [type, bytes] of list) w.bytes(type, bytes);
    return w.finish();
  });
  fc.assert(
    fc.property(fc.constantFrom(...types), fc.constantFrom(5, 0x305, 0x405, 0x605), payload, (type, flags, bytes) => {
      const replies = rtnetlink.handle(emitMessages([{ type, flags, seq: 1, port: 0, payload: bytes }]));
      for (const m of replies) {
        const message = readAck(m)?.message;
        if (message !== undefined) expect(message).not.toContain('internal error');
      }
    }),
    { numRuns: 3000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => Array.isArray(rtnetlink.handle(bytes))));
  expect(parseMessages(new Uint8Array(0))).toEqual([]);
  expect(getU32(Uint8Array.of(1, 0, 0, 0))).toBe(1);
});
