/**
 * netloom as a peer of the differential test: a router host with two ports, set up with the words the oracle uses.
 */
import { World } from '../../src/core/world.ts';
import type { NetDevice } from '../../src/device/device.ts';
import { inject, portDevice } from '../../src/device/simple.ts';
import type { CompileMode } from '../../src/netfilter/nft/compile/chains.ts';
import { hostNetlink } from '../../src/netlink/host-netlink.ts';
import { Host } from '../../src/netns/host.ts';
import type { ToolIo } from '../../src/tools/io.ts';
import { ip } from '../../src/tools/ip/main.ts';
import type { Frame, Outcome, Peer } from './peer.ts';

/** Loads a ruleset into the host; the error text when it is refused. */
export type LoadRules = (io: ToolIo, rules: string) => string | undefined;

const NEIGHBOURS: readonly (readonly string[])[] = [
  ['10.0.0.2', '10.0.0.77', '10.0.0.130', 'fd00::2', 'fd00::77'],
  ['10.0.1.2', '10.0.1.77', '10.0.1.200', '10.0.1.50', 'fd01::2', 'fd01::77'],
];

export class NetloomPeer implements Peer {
  readonly world: World = new World({ slots: 2048 });
  readonly host: Host;
  readonly io: ToolIo;
  readonly #ports: NetDevice[] = [];
  readonly #out: [string[], string[]] = [[], []];
  readonly #load: LoadRules;

  constructor(load: LoadRules, compile: CompileMode = 'lazy') {
    this.#load = load;
    this.host = new Host(this.world, 'router');
    this.host.nftables.compiled.mode = compile;
    this.io = { netlink: hostNetlink(this.host) };
    const run = (line: string): void => {
      const result = ip(line.split(' '), this.io);
      if (result.code !== 0) throw new Error(`ip ${line}: ${result.stderr}`);
    };
    for (const [name, value] of [
      ['net.ipv4.icmp_ratelimit', '0'],
      ['net.ipv6.icmp.ratelimit', '0'],
      ['net.ipv4.icmp_msgs_per_sec', '1000000'],
      ['net.ipv4.icmp_msgs_burst', '1000000'],
      ['net.ipv6.conf.default.accept_dad', '0'],
      ['net.ipv6.conf.default.addr_gen_mode', '1'],
    ]) {
      const errno = this.host.setSysctl(name, value);
      if (errno !== 0) throw new Error(`sysctl ${name}: errno ${errno}`);
    }
    run('link set lo up');
    for (const side of [0, 1] as const) {
      const port = portDevice(
        this.world,
        { name: `t${side}`, address: Uint8Array.of(2, 0, 0, 0, 0, side) },
        (frame) => {
          const chatter =
            (frame[12] === 8 && frame[13] === 6) || (frame[12] === 0x86 && frame[0] === 0x33 && frame[1] === 0x33);
          if (!chatter) this.#out[side].push(Buffer.from(frame).toString('hex'));
        },
      );
      this.host.devices.register(port);
      this.#ports.push(port);
      run(`link set t${side} up`);
      run(`addr add 10.0.${side}.1/24 dev t${side}`);
      run(`-6 addr add fd0${side}::1/64 dev t${side} nodad`);
      for (const address of NEIGHBOURS[side]) {
        run(`neigh replace ${address} lladdr 02:00:00:00:00:a${side} dev t${side} nud permanent`);
      }
    }
    this.host.setSysctl('net.ipv4.ip_forward', '1');
    this.host.setSysctl('net.ipv6.conf.all.forwarding', '1');
    run('route add 10.0.0.0/8 via 10.0.1.2');
    run('route add 192.168.0.0/16 via 10.0.1.2');
    run('-6 route add fd00:1::/32 via fd01::2');
    run('route add 192.0.2.0/24 via 10.0.0.2');
    this.world.settle();
  }

  async load(rules: string): Promise<string | undefined> {
    const error = this.#load(this.io, `flush ruleset\n${rules}`);
    this.host.conntrack.flush();
    return error;
  }

  async send(frames: readonly Frame[]): Promise<Outcome[]> {
    return frames.map(([side, hex]) => {
      inject(this.#ports[side], new Uint8Array(Buffer.from(hex, 'hex')));
      this.world.settle();
      const outcome: Outcome = [this.#out[0].splice(0), this.#out[1].splice(0)];
      return outcome;
    });
  }

  close(): void {}
}
