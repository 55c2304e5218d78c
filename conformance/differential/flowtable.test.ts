/** Flowtables: what a connection's packets meet once a rule has offloaded it. */
import { expect, test } from 'vitest';
import { conntrack } from '../../src/tools/conntrack/main.ts';
import { ACK, Conversation, FIN } from './conversation.ts';
import { loadNft } from './load-nft.ts';
import { NetloomPeer } from './netloom-peer.ts';

const rules = (nat: string): string => `table inet f {
  flowtable ft { hook ingress priority 0; devices = { t0, t1 }; counter; }
  chain forward { type filter hook forward priority 0; policy drop;
    ct state established flow add @ft
    ct state established,related accept
    tcp dport 80 accept
    udp dport 53 accept
  }
}
${nat}`;
const MASQUERADE = `table ip n {
  chain post { type nat hook postrouting priority 100;
    oifname "t1" masquerade
  }
}`;

async function lab(nat: string) {
  const peer = new NetloomPeer(loadNft);
  expect(await peer.load(rules(nat))).toBeUndefined();
  peer.host.setSysctl('net.netfilter.nf_conntrack_acct', '1');
  const frames: (readonly string[])[] = [];
  const talk = (protocol: 6 | 17, sport: number, dport: number): Conversation =>
    new Conversation(
      async (f) => {
        const [out] = await peer.send(f);
        frames.push([...out[0], ...out[1]]);
        return out;
      },
      protocol,
      0,
      '10.0.0.2',
      sport,
      '10.0.1.2',
      dport,
    );
  const list = (): string => conntrack(['-L'], { netlink: peer.io.netlink }).stdout;
  return { peer, talk, frames, list };
}

test.each(['', MASQUERADE])('an offloaded TCP connection passes no chain until it ends %#', async (nat) => {
  const { talk, list, frames, peer } = await lab(nat);
  const c = talk(6, 4000, 80);
  expect(await c.open(0)).toBe(true);
  expect(await c.say(0, 'GET /')).toBe(true);
  expect(list()).toContain('[OFFLOAD]');
  // Whatever the rules say now, the flow goes on: it does not meet them.
  const strict = 'table inet strict {\n chain forward { type filter hook forward priority -1; policy drop;\n }\n}';
  expect(loadNft(peer.io, strict)).toBeUndefined();
  for (let i = 0; i < 3; i++) {
    expect(await c.say(1, 'data '.repeat(20))).toBe(true);
    expect(await c.say(0, 'more')).toBe(true);
  }
  const last = Buffer.from(frames[frames.length - 1][0], 'hex');
  expect(last[22]).toBe(63); // one hop less
  expect(list()).toMatch(/packets=[5-9] .*packets=[3-9] .*\[OFFLOAD\]/);
  // FIN goes the slow way, where it is dropped now.
  expect(await c.say(0, '', FIN | ACK)).toBe(false);
  expect(list()).not.toContain('[OFFLOAD]');
  expect(await c.say(1, 'late')).toBe(false);
});

test('a UDP flow goes the slow way again when it is silent for 30 seconds, and when the flowtable goes', async () => {
  const { talk, list, peer } = await lab('');
  const c = talk(17, 4000, 53);
  await c.say(0, 'q');
  await c.say(1, 'a');
  await c.say(0, 'q');
  expect(list()).toContain('[OFFLOAD]');
  peer.world.runFor(32e9);
  expect(list()).not.toContain('[OFFLOAD]');
  await c.say(0, 'q');
  expect(list()).toContain('[OFFLOAD]');
  expect(loadNft(peer.io, 'delete table inet f')).toBeUndefined();
  expect(list()).not.toContain('[OFFLOAD]');
});
