/**
 * The host that a ruleset is tried on: its interfaces have a far side that answers everybody, its ports are all open, and
 * it is configured through the tools, as a person would do it.
 */
import { PKT_LOCAL, PKT_TRACE } from '../core/slab.ts';
import { World } from '../core/world.ts';
import type { NetDevice } from '../device/device.ts';
import { hostBpf } from '../netlink/bpf-transport.ts';
import { hostNetlink } from '../netlink/host-netlink.ts';
import { Host } from '../netns/host.ts';
import type { SysctlTransport, ToolIo, ToolResult } from '../tools/io.ts';
import { TOOLS } from '../tools/run.ts';
import { maskAddress, parseAddress, parsePrefix, sameBytes } from '../wire/address.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../wire/ethernet.ts';
import { IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '../wire/ipv4.ts';
import type { Layer } from '../wire/layer.ts';
import type { NetlinkTransport } from '../wire/netlink/message.ts';
import { parsePacket } from '../wire/parse.ts';
import { type Arrival, farSide } from './far-side.ts';
import type { IfaceSpec, RouteSpec } from './infer.ts';
import { BadInput } from './problem.ts';
import { baseChains, type ChainHook, RuleBook } from './rule-book.ts';

/** Duplicate address detection and router solicitations are over by then. */
const BOOT_NS = 5_000_000_000;

export type MachineOptions = {
  /** Wall-clock time when the host is ready, milliseconds since 1970; the default is that of a world. */
  readonly wallClockMs?: number;
};

export class Machine {
  readonly host: Host;
  readonly book: RuleBook = new RuleBook();
  /** The base chains of the ruleset, known after `finish`. */
  chains: readonly ChainHook[] = [];
  /** Told of every frame that comes out. */
  onArrival: ((arrival: Arrival) => void) | undefined;
  /** Told of every packet that a socket of the host would get. */
  onDeliver: ((layers: Layer[]) => void) | undefined;
  /** Netlink of the host, watched by the book. */
  readonly netlink: NetlinkTransport;
  readonly #sysctl: SysctlTransport;
  readonly #ports: NetDevice[] = [];

  /** A host with interfaces and addresses; the ruleset comes next, then `finish`. */
  constructor(ifaces: readonly IfaceSpec[], { wallClockMs }: MachineOptions = {}) {
    const world = new World({
      slots: 256,
      largeSlots: 4,
      ...(wallClockMs !== undefined && { epochMs: wallClockMs - BOOT_NS / 1e6 }),
    });
    this.host = new Host(world, 'host');
    this.netlink = this.book.watch(hostNetlink(this.host));
    this.#sysctl = {
      read: (name) => this.host.sysctl(name),
      write: (name, value) => this.host.setSysctl(name, value),
      names: () => this.host.sysctls.names(),
    };
    this.#openPorts();
    this.host.setSysctl('net.ipv4.ip_forward', '1');
    this.host.setSysctl('net.ipv6.conf.all.forwarding', '1');
    this.#ip('link', 'set', 'lo', 'up');
    for (const { name, addresses } of ifaces) {
      this.addInterface(name);
      for (const address of addresses) this.#ip('addr', 'add', address, 'dev', name);
    }
  }

  /** Adds routes and lets addresses become usable. */
  finish(routes: readonly RouteSpec[]): void {
    this.host.world.runFor(BOOT_NS);
    for (const route of routes) this.#route(route);
    this.chains = baseChains(this.netlink);
  }

  /** Every port of TCP, UDP and SCTP is open: what gets this far has passed the ruleset. */
  #openPorts(): void {
    for (const [number, name] of [
      [IPPROTO_TCP, 'tcp'],
      [IPPROTO_UDP, 'udp'],
      [IPPROTO_SCTP, 'sctp'],
    ] as const)
      this.host.protocols.set(number, {
        receive: (p) => {
          const { world } = this.host;
          const { slab } = world;
          const at = slab.network(p);
          const layers = parsePacket(slab.u8.slice(at, slab.end(p)));
          if (world.traced(p)) {
            const port = layers.find((l) => l.kind === name)?.fields.dport;
            world.trace(p, { kind: 'deliver', host: 'host', to: `${name} port ${port}` });
            this.onDeliver?.(layers);
          }
          slab.free(p);
        },
      });
  }

  /** Adds an interface and brings it up; false when it is there or the name is impossible. */
  addInterface(name: string): boolean {
    const { devices, world } = this.host;
    if (devices.byName(name) !== undefined) return false;
    const dev = farSide(world, name, this.#ports.length + 1, (arrival) => this.onArrival?.(arrival));
    try {
      devices.register(dev);
    } catch (error) {
      throw new BadInput(`interface ${name}: ${(error as Error).message}`);
    }
    this.#ports.push(dev);
    this.#ip('link', 'set', name, 'up');
    return true;
  }

  #ip(...argv: string[]): void {
    const { code, stderr } = this.run('ip', argv);
    if (code !== 0) throw new BadInput(`ip ${argv.join(' ')}: ${stderr.trim()}`);
  }

  #route({ to, via, dev }: RouteSpec): void {
    const words = [to, ...(via === undefined ? [] : ['via', via]), ...(dev === undefined ? [] : ['dev', dev])];
    const six = (via ?? to).includes(':');
    const { code, stderr } = this.run('ip', [...(six ? ['-6'] : []), 'route', 'replace', ...words]);
    if (code !== 0) throw new BadInput(`route ${words.join(' ')}: ${stderr.trim()}`);
  }

  /** Runs a tool on the host. */
  run(tool: string, argv: readonly string[], io: Pick<ToolIo, 'stdin' | 'readFile' | 'readBytes'> = {}): ToolResult {
    const found = TOOLS[tool];
    if (found === undefined) return { code: 127, stdout: '', stderr: `netloom has no tool ${tool}\n` };
    return found(argv, { netlink: this.netlink, sysctl: this.#sysctl, bpf: hostBpf(this.host), ...io });
  }

  /** Sends a packet of the host's own, from its IP header on; the packet's handle, -1 when there is no route. */
  sendLocal(bytes: Uint8Array, flags: number, mark: number | undefined, uid: number | undefined): number {
    const { world, ip4, ip6 } = this.host;
    const { slab } = world;
    const p = slab.from(bytes);
    if (p < 0) return -1;
    const six = bytes[0] >> 4 === 6;
    slab.setFlags(p, flags | PKT_LOCAL | PKT_TRACE);
    slab.setNetwork(p, slab.head(p));
    slab.setTransport(p, slab.head(p) + (six ? 40 : (bytes[0] & 15) * 4));
    slab.setProtocol(p, six ? ETH_P_IPV6 : ETH_P_IP);
    if (mark !== undefined) slab.setMark(p, mark);
    slab.setSk(p, 1, uid ?? 0, uid ?? 0);
    const stack = six ? ip6 : ip4;
    if (stack.routeOutput(p) !== 0) {
      slab.free(p);
      return -1;
    }
    stack.send(p);
    return p;
  }

  /** Names of the interfaces that packets can come in on. */
  names(): string[] {
    return [...this.host.devices].filter((d) => d !== this.host.lo).map((d) => d.name);
  }

  firstDevice(): NetDevice | undefined {
    return this.#ports[0];
  }

  #prefixes(dev: string): { address: Uint8Array; length: number; text: string }[] {
    const { stdout } = this.run('ip', ['-j', 'addr', 'show', 'dev', dev]);
    const [link] = JSON.parse(stdout || '[]') as {
      addr_info?: { local: string; prefixlen: number; scope: string }[];
    }[];
    return (link?.addr_info ?? [])
      .filter((a) => a.scope !== 'link')
      .map((a) => ({ address: parseAddress(a.local) as Uint8Array, length: a.prefixlen, text: a.local }));
  }

  /** The interface whose network has an address. */
  deviceToward(address: string): NetDevice | undefined {
    const bytes = parseAddress(address);
    if (bytes === undefined) return undefined;
    const inside = (dev: NetDevice): boolean =>
      this.#prefixes(dev.name).some(
        (p) =>
          p.address.length === bytes.length &&
          sameBytes(maskAddress(p.address, p.length), maskAddress(bytes, p.length)),
      );
    return this.#ports.find(inside) ?? this.#routed(address);
  }

  #routed(address: string): NetDevice | undefined {
    const { code, stdout } = this.run('ip', ['-j', 'route', 'get', address]);
    if (code !== 0) return undefined;
    const [route] = JSON.parse(stdout || '[]') as { dev?: string }[];
    return this.#ports.find((d) => d.name === route?.dev);
  }

  /** The host's address on an interface. */
  addressOn(dev: NetDevice, six: boolean): string | undefined {
    const list = this.#prefixes(dev.name);
    return (list.find((p) => (p.address.length === 16) === six) ?? list[0])?.text;
  }

  /** An address in the network of an interface that is not the host's. */
  neighbourOn(dev: NetDevice, six: boolean): string | undefined {
    const own = this.#prefixes(dev.name).find((p) => (p.address.length === 16) === six);
    const prefix = own === undefined ? undefined : parsePrefix(`${own.text}/${own.length}`);
    if (own === undefined || prefix === undefined || prefix.length > prefix.address.length * 8 - 3) return undefined;
    const base = own.text.slice(0, Math.max(own.text.lastIndexOf('.'), own.text.lastIndexOf(':')) + 1);
    return ['7', '8'].map((n) => base + n).find((a) => a !== own.text);
  }

  /** The source address the host would use. */
  sourceFor(daddr: string): string | undefined {
    const { code, stdout } = this.run('ip', ['-j', 'route', 'get', daddr]);
    if (code === 0) {
      const [route] = JSON.parse(stdout || '[]') as { prefsrc?: string }[];
      if (route?.prefsrc !== undefined) return route.prefsrc;
    }
    for (const dev of this.#ports) {
      const address = this.#prefixes(dev.name).find((p) => (p.address.length === 16) === daddr.includes(':'));
      if (address !== undefined) return address.text;
    }
    return undefined;
  }

  /** Paths below /proc/sys that a shell pattern matches. */
  sysctlPaths(pattern: string): string[] {
    const source = pattern.replace(/[.+^${}()|\\]/g, '\\$&').replaceAll('*', '[^/]*');
    const test = new RegExp(`^${source}$`);
    return this.#sysctl
      .names()
      .map((name) => `/proc/sys/${name.replaceAll('/', '\0').replaceAll('.', '/').replaceAll('\0', '.')}`)
      .filter((path) => test.test(path));
  }
}
