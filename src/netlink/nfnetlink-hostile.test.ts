/**
 * Damaged nf_tables batches: bytes of real ones changed, cut and doubled. Whatever comes, it is answered with an errno that
 * the kernel has for bad requests, and a refused batch leaves every dump as it was.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EIO } from '../core/errno.ts';
import { World } from '../core/world.ts';
import { BareHost } from '../netfilter/nft/bare-host.ts';
import { nft } from '../tools/nft/index.ts';
import { type Message, readAck } from '../wire/netlink/message.ts';
import { NFNL_MSG_BATCH_END } from '../wire/uapi/nfnetlink.ts';
import { Nfnetlink } from './nfnetlink.ts';

const RULESET = `table inet t {
  counter c { }
  set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 20.0.0.1-20.0.0.9 } }
  map m { type ipv4_addr : verdict; elements = { 1.1.1.1 : accept, 2.2.2.2 : jump d } }
  set k { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 22 } }
  chain d { }
  chain i { type filter hook input priority 0; policy accept; tcp dport { 22, 80-90 } counter name c accept; }
}
`;
const CHANGES = [
  'add rule inet t i ip saddr @s limit rate 10/second log prefix "x" drop',
  'insert rule inet t i ip saddr vmap @m; add element inet t s { 30.0.0.0/8 }',
  'delete element inet t s { 10.0.0.0/8 }; flush chain inet t i; delete counter inet t c',
  'add table ip u; add chain ip u c; add rule ip u c meta mark set 1 ct state new jump c',
  'flush ruleset; add table inet t; add set inet t s { type ipv4_addr; timeout 1h; elements = { 1.1.1.1 } }',
  'add quota inet t q { 25 mbytes }; add limit inet t l { rate 1/second }; delete chain inet t d',
];

function start() {
  const nfnetlink = new Nfnetlink(new BareHost(new World(), [{ name: 'lo' }, { name: 'eth0' }]).nft);
  let sent: Uint8Array = new Uint8Array(0);
  const netlink = {
    open: () => ({
      send: (datagram: Uint8Array): Message[] => {
        sent = datagram;
        return nfnetlink.handle(datagram);
      },
    }),
  };
  const stdin = RULESET;
  expect(nft(['-f', '-'], { netlink, stdin }).stderr).toBe('');
  return {
    nfnetlink,
    list: () => nft(['-a', 'list', 'ruleset'], { netlink }).stdout,
    /** The bytes of a change that is checked only. */
    batch: (command: string): Uint8Array => {
      nft(['-c', command], { netlink });
      const end = new Uint8Array(20);
      const view = new DataView(end.buffer);
      view.setUint32(0, 20, true);
      view.setUint16(4, NFNL_MSG_BATCH_END, true);
      view.setUint16(6, 1, true);
      end[19] = 10;
      const out = new Uint8Array(sent.length + end.length);
      out.set(sent);
      out.set(end, sent.length);
      return out;
    },
  };
}

const damage = fc.record({
  change: fc.constantFrom(...CHANGES),
  edits: fc.array(
    fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1, 2, 4, 8, 0x7f, 0x80, 0xff)),
    {
      maxLength: 4,
    },
  ),
  cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
});

test('a damaged batch is answered, and leaves nothing behind when it is refused', () => {
  fc.assert(
    fc.property(damage, ({ change, edits, cut }) => {
      const host = start();
      const before = host.list();
      let bytes = host.batch(change);
      for (const [where, value] of edits) bytes[Math.min(bytes.length - 1, Math.floor(where * bytes.length))] ^= value;
      if (cut !== null) bytes = bytes.slice(0, Math.floor(cut * bytes.length));
      const acks = host.nfnetlink.handle(bytes).flatMap((m) => readAck(m) ?? []);
      for (const ack of acks) expect([ack.errno === EIO, ack.message]).toEqual([false, ack.message]);
      if (acks.some((ack) => ack.errno !== 0)) expect(host.list()).toBe(before);
    }),
    {
      numRuns: Number(process.env.NETLOOM_RUNS ?? 40),
      ...(process.env.NETLOOM_SEED && { seed: Number(process.env.NETLOOM_SEED) }),
    },
  );
}, 60_000);
