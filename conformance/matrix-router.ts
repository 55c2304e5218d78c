/**
 * The router of the nft-match-matrix recordings: eth0 (10.0.0.1/24, fd00::1/64) where the frames arrive, t1 (10.0.1.1/24,
 * fd01::1/64) where they leave, ports b0 and b1 of a bridge. It tells of each frame what one chain's rule made of it.
 */
import type { HookEntry, Hooks } from '../src/core/hook.ts';
import { PKT_TRACE } from '../src/core/slab.ts';
import { World } from '../src/core/world.ts';
import type { NetDevice } from '../src/device/device.ts';
import { portDevice } from '../src/device/simple.ts';
import { hostNetlink } from '../src/netlink/host-netlink.ts';
import { Host } from '../src/netns/host.ts';
import type { ToolIo } from '../src/tools/io.ts';
import { ip } from '../src/tools/ip/main.ts';
import { NF_ACCEPT, NFPROTO_BRIDGE } from '../src/wire/uapi/netfilter.ts';

const NEIGHBOURS: readonly string[] = [
  'neigh replace 10.0.0.2 lladdr 02:00:00:00:00:a0 dev eth0 nud permanent',
  'neigh replace fd00::2 lladdr 02:00:00:00:00:a0 dev eth0 nud permanent',
  'neigh replace 10.0.1.2 lladdr 02:00:00:00:00:a1 dev t1 nud permanent',
  'neigh replace fd01::2 lladdr 02:00:00:00:00:a1 dev t1 nud permanent',
  'route add default via 10.0.1.2',
  '-6 route add default via fd01::2',
];

/** What became of a frame at the rule: its verdict, "no", or "not_reached". */
export type Seen = {
  readonly verdict: string;
  /** The packet behind the rule, from its network header on, and its mark. */
  readonly after: string;
  readonly mark: number;
  /** Frames that left t1. */
  readonly out: readonly string[];
};

export class MatrixRouter {
  readonly world: World = new World({ slots: 256 });
  readonly host: Host = new Host(this.world, 'router');
  readonly io: ToolIo;
  readonly #ports: Map<string, NetDevice> = new Map();
  readonly #out: string[] = [];
  #verdict = 'not_reached';
  #after = '';
  #mark = 0;
  #entries: HookEntry[] = [];

  constructor() {
    const { host, world } = this;
    this.io = { netlink: hostNetlink(host) };
    this.#ip('link set lo up');
    host.setSysctl('net.ipv6.conf.default.accept_dad', '0');
    host.setSysctl('net.ipv6.conf.default.addr_gen_mode', '1');
    for (const [name, last] of [
      ['eth0', 0],
      ['t1', 1],
      ['b0', 0xb0],
      ['b1', 0xb1],
      ['br0', 0xb2],
    ] as const) {
      const port = portDevice(world, { name, address: Uint8Array.of(2, 0, 0, 0, 0, last) }, (frame) => {
        if (name === 't1') this.#out.push(Buffer.from(frame).toString('hex'));
      });
      host.devices.register(port);
      this.#ports.set(name, port);
      this.#ip(`link set ${name} up`);
    }
    for (const [dev, net] of [
      ['eth0', 0],
      ['t1', 1],
    ]) {
      this.#ip(`addr add 10.0.${net}.1/24 dev ${dev}`);
      this.#ip(`-6 addr add fd0${net}::1/64 dev ${dev} nodad`);
    }
    for (const line of NEIGHBOURS) this.#ip(line);
    host.setSysctl('net.ipv4.ip_forward', '1');
    host.setSysctl('net.ipv6.conf.all.forwarding', '1');
    // The bridge itself is no part of what was recorded: its first hook is.
    for (const name of ['b0', 'b1']) this.#ports.get(name)!.master = this.#ports.get('br0')!.ifindex;
    host.bridgeInput = (dev, p): boolean => {
      // Link-local groups but the first (STP, with STP off) are not forwarded.
      const mac = world.slab.mac(p);
      if (world.slab.dv.getUint32(mac) === 0x0180c200 && world.slab.dv.getUint16(mac + 4) !== 0) {
        world.slab.free(p);
        return true;
      }
      const taken = host.hooks.run(NFPROTO_BRIDGE, 0, p, dev.ifindex, 0) === NF_ACCEPT;
      if (taken) world.slab.free(p);
      return true;
    };
    world.tracer = (event): void => {
      if (event.kind === 'rule' && event.chain === 'c') this.#verdict = event.verdict;
      if (event.kind === 'policy' && event.chain === 'c' && this.#verdict === 'not_reached') this.#verdict = 'no';
    };
    world.settle();
    // What was recorded ran on the second processor.
    Object.assign(host.nftables.host, { cpu: 1 });
  }

  #ip(line: string): void {
    const result = ip(line.split(' '), this.io);
    if (result.code !== 0) throw new Error(`ip ${line}: ${result.stderr}`);
  }

  /** Looks at packets right behind the chains of a hook. */
  observe(families: readonly number[], hook: number, priority: number, device = ''): void {
    const { slab } = this.world;
    const ifindex = device === '' ? 0 : this.#ports.get(device)!.ifindex;
    const hooks: Hooks = this.host.hooks;
    for (const pf of families) {
      const entry: HookEntry = {
        pf,
        hook,
        priority,
        name: 'observer',
        ...(ifindex !== 0 && { ifindex }),
        fn: (p) => {
          const at = slab.network(p);
          this.#after = Buffer.from(slab.u8.subarray(at, slab.end(p))).toString('hex');
          this.#mark = slab.mark(p);
          return NF_ACCEPT;
        },
      };
      hooks.register(entry);
      this.#entries.push(entry);
    }
  }

  /** Lets a frame arrive on a port; `belowIp`: for hooks in front of IP. */
  send(frame: Uint8Array, port: string, belowIp: boolean): Seen {
    this.#verdict = 'not_reached';
    this.#after = '';
    this.#mark = 0;
    this.#out.length = 0;
    const { slab } = this.world;
    const p = slab.from(frame);
    slab.setFlags(p, PKT_TRACE);
    // The frames were written to taps, and hooks before IP saw their socket, which was root's.
    if (belowIp) slab.setSk(p, 1, 0, 0);
    this.#ports.get(port)!.receive(p);
    this.world.settle();
    return { verdict: this.#verdict, after: this.#after, mark: this.#mark, out: [...this.#out] };
  }
}
