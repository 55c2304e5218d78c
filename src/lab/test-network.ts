/**
 * Hosts and links for netloom's own tests, in a few lines; configured by `ip` over netlink and by sysctl, as everything is.
 *
 *     const net = new TestNetwork();
 *     net.link('a:eth0', 'b:eth0');
 *     net.node('a').ip('addr add 10.0.0.1/24 dev eth0');
 *     net.node('b').ip('addr add 10.0.0.2/24 dev eth0');
 *     net.node('a').ping('10.0.0.2');
 */
import { World, type WorldOptions } from '../core/world.ts';
import type { NetDevice } from '../device/device.ts';
import { inject, portDevice } from '../device/simple.ts';
import { type VethPair, vethPair } from '../device/veth.ts';
import { hostNetlink } from '../netlink/host-netlink.ts';
import { Host } from '../netns/host.ts';
import { ip } from '../tools/ip/main.ts';
import { type EchoOptions, EchoPorts, type EchoReply } from '../transport/ping.ts';
import { familyOf, parseAddress } from '../wire/address.ts';
import type { NetlinkTransport } from '../wire/netlink/message.ts';

const SECOND = 1e9;

/** A port whose other end is the test: frames that came out of the host, and a way to put frames in. */
export type TestPort = {
  readonly dev: NetDevice;
  readonly mac: Uint8Array;
  readonly sent: Uint8Array[];
  /** Lets a frame arrive and the world do what follows from it; the frames that came out since. */
  frame(bytes: Uint8Array): Uint8Array[];
};

export class TestNode {
  readonly host: Host;
  readonly netlink: NetlinkTransport;
  readonly #echo: EchoPorts;

  constructor(host: Host) {
    this.host = host;
    this.netlink = hostNetlink(host);
    this.#echo = new EchoPorts(host, host.ip4, host.ip6);
    this.ip('link set lo up');
  }

  /** Runs `ip` with these words; throws with the tool's words when it fails. Answers what it printed. */
  ip(line: string): string {
    const { code, stdout, stderr } = ip(line.split(' '), { netlink: this.netlink });
    if (code !== 0) throw new Error(`ip ${line}: ${stderr}`);
    return stdout;
  }

  /** Sets sysctls: "net.ipv4.ip_forward=1". */
  sysctl(...settings: readonly string[]): void {
    for (const setting of settings) {
      const [name, value] = setting.split('=');
      const errno = this.host.setSysctl(name, value);
      if (errno !== 0) throw new Error(`sysctl ${setting}: errno ${errno}`);
    }
  }

  /** Sends one echo request and lets time pass; what came back (replies and errors). */
  ping(
    destination: string,
    options: EchoOptions & { readonly size?: number; readonly seconds?: number } = {},
  ): Reply[] {
    const address = parseAddress(destination);
    if (address === undefined) throw new Error(`no address: ${destination}`);
    const socket = this.#echo.open(familyOf(address));
    const { errno } = socket.connect(address, options);
    const out: Reply[] = [];
    if (errno !== 0) out.push({ errno });
    else {
      const sent = socket.send(1, new Uint8Array(options.size ?? 56).fill(0x61));
      if (sent.errno !== 0) out.push(sent);
      this.host.world.runFor((options.seconds ?? 1) * SECOND);
      for (let reply = socket.receive(); reply !== undefined; reply = socket.receive())
        out.push({ errno: 0, ...reply });
    }
    socket.close();
    return out;
  }
}

/** An errno of the socket call, or what came back. */
export type Reply = { readonly errno: number; readonly mtu?: number } & Partial<EchoReply>;

export class TestNetwork {
  readonly world: World;
  readonly #nodes = new Map<string, TestNode>();
  #macs = 0;

  constructor(options: WorldOptions = {}) {
    this.world = new World({ slots: 1024, largeSlots: 8, ...options });
  }

  /** The node of a name, made when there is none. */
  node(name: string): TestNode {
    let node = this.#nodes.get(name);
    if (node === undefined) {
      node = new TestNode(new Host(this.world, name));
      this.#nodes.set(name, node);
    }
    return node;
  }

  /** 02:00:00:00:00:NN, the next one. */
  mac(): Uint8Array {
    return Uint8Array.of(2, 0, 0, 0, 0, ++this.#macs);
  }

  /** A link between "node:device" and "node:device", both ends up. */
  link(a: string, b: string, mtu = 1500): VethPair {
    const [nodeA, nameA] = a.split(':');
    const [nodeB, nameB] = b.split(':');
    const pair = vethPair(
      this.world,
      { name: nameA, address: this.mac(), mtu },
      { name: nameB, address: this.mac(), mtu },
    );
    this.node(nodeA).host.devices.register(pair.a);
    this.node(nodeB).host.devices.register(pair.b);
    this.node(nodeA).ip(`link set ${nameA} up`);
    this.node(nodeB).ip(`link set ${nameB} up`);
    return pair;
  }

  /** A device "node:device" whose other end is the test, up. */
  port(where: string, mac: Uint8Array = this.mac()): TestPort {
    const [name, device] = where.split(':');
    const sent: Uint8Array[] = [];
    const dev = portDevice(this.world, { name: device, address: mac }, (frame) => sent.push(frame));
    this.node(name).host.devices.register(dev);
    this.node(name).ip(`link set ${device} up`);
    const frame = (bytes: Uint8Array): Uint8Array[] => {
      inject(dev, bytes);
      this.world.settle();
      return sent.splice(0);
    };
    return { dev, mac, sent, frame };
  }
}
