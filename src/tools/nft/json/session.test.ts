import { expect, test } from 'vitest';
import { World } from '../../../core/world.ts';
import { hostNetlink } from '../../../netlink/host-netlink.ts';
import { Host } from '../../../netns/host.ts';
import type { NetlinkTransport } from '../../../wire/netlink/message.ts';
import { nft } from '../index.ts';

const host = (): { netlink: NetlinkTransport } => ({
  netlink: hostNetlink(new Host(new World({ slots: 64 }), 'host')),
});

test('a ruleset listed as JSON loads into another host and lists the same', () => {
  const first = host();
  const script = `table inet t {
    counter n { packets 3 bytes 4 }
    set s { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 80, 1.1.1.1 . 1-5 } }
    map m { type inet_service : verdict; elements = { 22 : accept, 23 : drop } }
    chain c {
      type filter hook input priority 0; policy drop;
      ct state established accept
      ip saddr . tcp dport @s counter name n accept comment "x"
      tcp dport vmap @m
    }
  }`;
  expect(nft(['-f', '-'], { ...first, stdin: script }).stderr).toBe('');
  const json = nft(['-j', 'list', 'ruleset'], first).stdout;
  const second = host();
  expect(nft(['-j', '-f', '-'], { ...second, stdin: json }).stderr).toBe('');
  expect(nft(['list', 'ruleset'], second).stdout).toBe(nft(['list', 'ruleset'], first).stdout);
});
