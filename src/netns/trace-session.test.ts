import { describe, expect, test } from 'vitest';
import type { RunMode } from '../bpf/system.ts';
import { World } from '../core/world.ts';
import { TestNetwork } from '../lab/test-network.ts';
import { startTrace } from './trace-session.ts';

const frame = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const ETHER = '0200000000010200000000a0';
// UDP from 10.0.0.2 to 10.0.0.1 port 5001, where nobody listens; the same with a TTL of 1 to 10.9.9.9; and a broken one.
const udp = frame(`${ETHER}08004500002000010000401166ca0a0000020a00000113881389000c000061626364`);
const broken = frame(`${ETHER}08004500002000010000401166cb0a0000020a00000113881389000c000061626364`);
const udp6 = frame(
  `${ETHER}86dd60000000000c1140fd000000000000000000000000000002fd00000000000000000000000000000113881389000c000061626364`,
);

/** What a program prints of these frames arriving at host "r". */
function trace(text: string, frames: readonly Uint8Array[] = [udp, udp, broken], run?: RunMode): string {
  const net = new TestNetwork({ slots: 128, largeSlots: 4 });
  const port = net.port('r:eth0');
  const r = net.node('r');
  r.ip('addr add 10.0.0.1/24 dev eth0');
  let out = '';
  const running = startTrace(r.host.world, text, (line) => (out += line), { run });
  for (const f of frames) port.frame(f);
  running.stop();
  expect(r.host.world.probe).toBeUndefined();
  return out;
}

describe('the tracing language', () => {
  test.each(['compiled', 'checking', 'interpreted'] as const)('counts drops by reason (%s)', (run) => {
    expect(trace('kfree_skb { @[args.reason] = count() }', [udp, udp, broken], run)).toBe(
      '@[IP_CSUM]: 1\n@[NO_SOCKET]: 2\n',
    );
  });

  test('filters', () => {
    expect(trace('kfree_skb /args.reason == NO_SOCKET/ { @ = count(); }')).toBe('@: 2\n');
    expect(trace('kfree_skb /args.skb->len > 5000 || comm == "elsewhere"/ { @ = count(); }')).toBe('');
    expect(trace('kfree_skb /comm == "r" && args.skb->len == 32/ { @ = count(); }')).toBe('@: 3\n');
  });

  test('prints', () => {
    expect(
      trace(
        'ip_rcv { printf("%s %s -> %s port %d len %u\\n", host, saddr(args.skb), daddr(args.skb), dport(args.skb), args.skb->len); }',
        [udp],
      ),
    ).toBe('r 10.0.0.2 -> 10.0.0.1 port 5001 len 32\n');
    const six =
      'netif_receive_skb { printf("%s %d %x\\n", daddr(args.skb), protocol(args.skb), bswap(args.skb->protocol)); }';
    expect(trace(six, [udp6])).toBe('fd00::1 17 86dd\n');
    expect(trace('BEGIN { printf("%5d|%-5d|%05d|%c|%%\\n", 42, 42, 42, 65); }', [])).toBe('   42|42   |00042|A|%\n');
  });

  test('names devices, hooks and bytes of the packet', () => {
    expect(trace('netif_receive_skb { @[args.skb->dev->name, args.skb->dev->mtu] = count(); }')).toBe(
      '@[eth0, 1500]: 3\n',
    );
    expect(trace('ip_rcv { @[u8(args.skb->data + 9)] = count(); }')).toBe('@[17]: 3\n');
    expect(trace('kfree_skb { @[args.rx_sk->__sk_common.skc_family] = count(); }')).toBe('@[0]: 3\n');
  });

  test('adds up, averages, finds extremes', () => {
    const all = `ip_rcv { @s = sum(args.skb->len); @a = avg(args.skb->len); @lo = min(args.skb->len); @hi = max(args.skb->len); }`;
    expect(trace(all)).toBe('@s: 96\n@a: 32\n@lo: 32\n@hi: 32\n');
  });

  test('makes histograms', () => {
    const out = trace('ip_rcv { @ = hist(args.skb->len); } ip_rcv { @l[1] = lhist(args.skb->len, 0, 100, 10); }');
    expect(out).toBe(
      `@:\n[32, 64)                3 |${'@'.repeat(52)}|\n\n@l[1]:\n[30, 40)                3 |${'@'.repeat(52)}|\n\n`,
    );
  });

  test('has variables, conditions and maps to remember', () => {
    const text = `
      // The second packet of each size.
      ip_rcv {
        $len = args.skb->len * 2;
        @seen[$len]++;
        if (@seen[$len] == 2) { printf("second of %d\\n", $len); } else if ($len > 1000) { printf("long\\n"); }
        @last = args.skb->dev->name;
      }
      END { printf("end\\n"); delete(@seen[64]); print(@last); clear(@last); }`;
    expect(trace(text)).toBe('second of 64\nend\n@last: eth0\n');
  });

  test('stops at exit()', () => {
    expect(trace('ip_rcv { printf("one\\n"); exit(); }')).toBe('one\n');
  });

  test('says where a program is wrong', () => {
    const wrong = (text: string) => (): string => trace(text, []);
    expect(wrong('nothing { }')).toThrow('netloom has no tracing point nothing');
    expect(wrong('kfree_skb { @[args.nothing] = count() }')).toThrow('there is no argument nothing here');
    expect(wrong('kfree_skb { @ = args.skb->nothing }')).toThrow('struct sk_buff has no member nothing');
    expect(wrong('kfree_skb { $x = $y }')).toThrow('$y has no value yet');
    expect(wrong('kfree_skb { printf("%d\\n") }')).toThrow('the format has 1 values, 0 are given');
    expect(wrong('kfree_skb { @x = count(); @x[1] = count() }')).toThrow('@x has other keys elsewhere');
    expect(wrong('kfree_skb { "abc }')).toThrow('the string does not end');
    expect(wrong('kfree_skb { @ = 1')).toThrow('expected ";", found the end');
    expect(wrong('fentry:kfree_skb { }')).toThrow('kfree_skb is a tracepoint');
    expect(wrong('')).toThrow('expected a probe');
    expect(wrong(`kfree_skb { @ = ${'('.repeat(1000)}1 }`)).toThrow('nested too deeply');
    expect(wrong('kfree_skb { @[args.skb->cb] = count(); @[args.skb->cb, 1, 2] = count() }')).toThrow('other keys');
    expect(wrong('tcp_probe { @ = count() }')).toThrow('netloom does not hit the tracing point tcp_probe yet');
  });
});

test('interval blocks run at their times, until the end', () => {
  const world = new World({ slots: 64 });
  let out = '';
  const running = startTrace(world, 'interval:ms:250 { @n++; } interval:s:1 { printf("%d\\n", @n); }', (line) => {
    out += line;
  });
  world.runFor(2.1e9);
  running.stop();
  world.runFor(5e9);
  expect(out).toBe('3\n7\n@n: 8\n');
  expect(() => startTrace(world, 'interval:weeks:1 { }', () => undefined)).toThrow('the unit is');
});
