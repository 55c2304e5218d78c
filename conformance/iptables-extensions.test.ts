/** Rare extensions, from the command line to what they do to packets. */
import { expect, test } from 'vitest';
import { World } from '../src/core/world.ts';
import { Nfnetlink } from '../src/netlink/nfnetlink.ts';
import { Host } from '../src/netns/host.ts';
import type { ToolIo } from '../src/tools/io.ts';
import { iptables } from '../src/tools/iptables/index.ts';
import { words } from '../src/tools/iptables/restore.ts';

function host(): { io: ToolIo; host: Host } {
  const h = new Host(new World({ slots: 64 }), 'h');
  const nfnetlink = new Nfnetlink(h.nftables);
  return { host: h, io: { netlink: { open: () => ({ send: (datagram) => nfnetlink.handle(datagram) }) } } };
}
const sh = (io: ToolIo, line: string) => iptables(words(line), io);

test('rules with rare matches and targets list back as they were given', () => {
  const { io } = host();
  const lines = [
    '-m bpf --bytecode "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0" -j ACCEPT',
    '-m ipvs --vproto 6 --vaddr 1.2.3.4/16 --vport 22 --vdir REPLY --vmethod GATE',
    '-p tcp -m osf ! --genre Linux --ttl 2 --log 1',
    '-m cgroup ! --path "/"',
    '-j IDLETIMER --timeout 42 --label bar --alarm',
    '-j RATEEST --rateest-name RE1 --rateest-interval 250.0ms --rateest-ewmalog 500.0ms',
    '-m rateest --rateest RE1 --rateest-gt --rateest-bps 5000bit',
    '-m rateest --rateest-delta --rateest RE1 --rateest-bps1 8bit ! --rateest-gt --rateest-bps2 16bit',
    '-j HMARK --hmark-src-prefix 1 --hmark-sport-mask 0x0003 --hmark-proto-mask 0x05 --hmark-rnd 0x00000004 --hmark-mod 42 --hmark-offset 1 --hmark-tuple ct',
    '-j LED --led-trigger-id "foo" --led-delay inf --led-always-blink',
  ];
  for (const line of lines) expect(sh(io, `-A INPUT ${line}`)).toEqual({ code: 0, stdout: '', stderr: '' });
  const listed = sh(io, '-S INPUT').stdout.trim().split('\n').slice(1);
  expect(listed).toEqual(lines.map((line) => `-A INPUT ${line}`));
});

test('an estimator that no rule feeds, a set and a security context that are not there are named in the refusal', () => {
  const { io } = host();
  expect(sh(io, '-A INPUT -m rateest --rateest RE1 --rateest-eq --rateest-pps 5').code).toBe(4);
  expect(sh(io, '-A INPUT -m set --match-set foo src').stderr).toContain("Set foo doesn't exist.");
  expect(sh(io, '-A INPUT -m set --match-set foo').stderr).toContain('--match-set requires two args.');
  expect(sh(io, '-t security -A INPUT -j SECMARK --selctx a').code).toBe(4);
  expect(sh(io, '-A INPUT -m nfacct --nfacct-name wrong').code).toBe(4);
});

test('a host without an extension refuses it, as a kernel without the module', () => {
  const { io, host: h } = host();
  h.nftables.xt.absent.add('ipvs');
  expect(sh(io, '-A INPUT -m ipvs --ipvs').code).toBe(4);
});
