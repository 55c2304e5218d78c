import { expect, test } from 'vitest';
import { Random } from '../../core/random.ts';
import { World } from '../../core/world.ts';
import { Nfnetlink } from '../../netlink/nfnetlink.ts';
import { nft, runScript } from '../../tools/nft/index.ts';
import type { NetlinkTransport } from '../../wire/netlink/message.ts';
import { NF_ACCEPT, NFPROTO_IPV4 } from '../../wire/uapi/netfilter.ts';
import { BareHost } from './bare-host.ts';
import type { CompileMode } from './compile/chains.ts';

/** NETLOOM_CHANGES=10000 is the long run. */
const CHANGES = Number(process.env.NETLOOM_CHANGES ?? 300);
/** Rules among which the changing ones stand, so that there are several programs. */
const FILLER = 120;

/** A UDP frame from `source` to port `port`. */
function frame(source: number, port: number): Uint8Array {
  const bytes = new Uint8Array(60);
  const dv = new DataView(bytes.buffer);
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0xa0, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17]);
  dv.setUint32(26, source);
  dv.setUint32(30, 0x0a000001);
  dv.setUint16(34, 40_000);
  dv.setUint16(36, port);
  dv.setUint16(38, 26);
  return bytes;
}

type Box = { host: BareHost; run(script: string): void; list(...words: string[]): string };

function box(mode: CompileMode): Box {
  const world = new World({ slots: 64, largeSlots: 1 });
  const host = new BareHost(world, [{ name: 'lo' }, { name: 'v0' }]);
  host.nft.compiled.mode = mode;
  const nfnetlink = new Nfnetlink(host.nft);
  const netlink: NetlinkTransport = { open: () => ({ send: (datagram) => [...nfnetlink.handle(datagram)] }) };
  return {
    host,
    run(script) {
      const { code, stderr } = runScript(script, { netlink }, { file: 'rules.nft' });
      if (code !== 0) throw new Error(stderr);
    },
    list: (...words) => nft(words, { netlink }).stdout,
  };
}

const filler = (from: number): string =>
  Array.from({ length: FILLER }, (_, i) =>
    (i & 1) === 0 ? `    ip saddr 192.0.${from}.${i} counter drop\n` : `    udp dport ${20_000 + i} counter drop\n`,
  ).join('');

/**
 * Generation g adds g to the mark at three places: a rule in the base chain, a rule in another chain, data of a map. A packet
 * judged by one generation has 0x10101 x g; a mixture has something else.
 */
function ruleset(): string {
  return `table ip t {
  map m { type ipv4_addr : mark; elements = { 10.0.0.2 : 0x00000001 }; }
  set known { type ipv4_addr; elements = { 10.0.0.2 }; }
  counter seen { }
  chain second {
${filler(1)}    meta mark set mark or 0x100
    ip saddr @known counter
  }
  chain c { type filter hook prerouting priority 0; policy accept;
    counter name seen
    meta mark set ip saddr map @m
${filler(2)}    jump second
${filler(3)}    meta mark set mark or 0x10000
    counter
  }
}
`;
}

for (const mode of ['off', 'eager'] as const) {
  test(`while packets flow, each is judged by one generation and counters lose none (compilation ${mode})`, () => {
    const { host, run, list } = box(mode);
    const { slab } = host.world;
    run(ruleset());
    const table = [...host.nft.tables.values()][0];
    const handleOf = (chain: string, which: number): number => {
      const { rules } = table.chains.get(chain)!;
      return rules[which < 0 ? rules.length + which : which].handle;
    };
    const second = handleOf('second', -2);
    const last = handleOf('c', -2);
    const filled = table.chains
      .get('c')!
      .rules.slice(2, 2 + FILLER)
      .map((rule) => rule.handle);
    const random = new Random(1);
    const p = host.receive(frame(0x0a000002, 53), 2);
    let generation = 1;
    let packets = 0;
    let mixed = 0;
    let lost = 0;
    const flow = (): void => {
      slab.setMark(p, 0);
      const verdict = host.hooks.run(NFPROTO_IPV4, 0, p, 2, 0);
      packets++;
      if (verdict !== NF_ACCEPT) lost++;
      if (slab.mark(p) !== 0x10101 * generation) mixed++;
    };
    flow();
    for (let change = 1; change <= CHANGES; change++) {
      const kind = change % 10;
      if (kind === 0) {
        // All that must change together, in one batch: two rules and an element of a map.
        generation = 1 + (generation % 100);
        const hex = (shift: number): string => `0x${(generation << shift).toString(16)}`;
        run(`delete element ip t m { 10.0.0.2 }
add element ip t m { 10.0.0.2 : ${hex(0)} }
replace rule ip t second handle ${second} meta mark set mark or ${hex(8)}
replace rule ip t c handle ${last} meta mark set mark or ${hex(16)}
`);
      } else if (kind === 5) {
        // A chain is swapped for another with the same effect.
        const name = `swap${change}`;
        run(`add chain ip t ${name}
add rule ip t ${name} ip saddr 198.51.100.${change % 250} counter drop
add rule ip t ${name} counter return
insert rule ip t second jump ${name}
`);
        const at = handleOf('second', 0);
        flow();
        run(`delete rule ip t second handle ${at}\ndelete chain ip t ${name}\n`);
      } else if (kind === 3) {
        run(`add element ip t known { 203.0.113.${change % 250} }\n`);
        flow();
        run(`delete element ip t known { 203.0.113.${change % 250} }\n`);
      } else {
        const i = random.below(FILLER);
        const text =
          random.below(2) === 0 ? `ip saddr 192.0.9.${change % 250}` : `udp dport ${30_000 + (change % 999)}`;
        run(`replace rule ip t c handle ${filled[i]} ${text} counter drop\n`);
      }
      flow();
      // Another packet is dropped by whatever the rules say now: nothing of the first one's business.
      if (change % 97 === 0) {
        const q = host.receive(frame(0xc0000102, 53), 2);
        const verdict = host.hooks.run(NFPROTO_IPV4, 0, q, 2, 0);
        expect(verdict).toBe(NF_ACCEPT - 1);
        slab.free(q);
      }
    }
    expect({ mixed, lost }).toEqual({ mixed: 0, lost: 0 });
    const others = Math.floor(CHANGES / 97);
    // Counters that no change touched have every packet: the named one, the set's, the one at the end.
    expect(list('list', 'counters')).toContain(`packets ${packets + others} `);
    const rules = list('list', 'chain', 'ip', 't', 'c');
    expect(rules).toMatch(new RegExp(`^\\t\\tcounter packets ${packets} bytes`, 'm'));
    const inSecond = list('list', 'chain', 'ip', 't', 'second');
    expect(inSecond).toMatch(new RegExp(`ip saddr @known counter packets ${packets} bytes`));
    expect(inSecond).toMatch(new RegExp(`ip saddr 192.0.1.2 counter packets ${others} bytes`));
    if (mode === 'eager') {
      const reports = host.nft.compiled.report(table);
      expect(reports.map((r) => r.reason)).toEqual(reports.map(() => ''));
    }
  }, 300_000);
}
