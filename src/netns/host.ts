/**
 * One host (a network namespace): devices, addresses, routes, neighbours, the IP stacks, transports, netfilter and
 * sysctls, put together. It is configured by netlink (`src/netlink/socket.ts`) and sysctl only.
 *
 *     const world = new World();
 *     const gw = new Host(world, 'gw');
 *     gw.devices.register(portDevice(world, { name: 'lan' }, (frame) => ...));
 */
import { DROP } from '../core/drop.ts';
import { Hooks } from '../core/hook.ts';
import { PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST } from '../core/slab.ts';
import type { World } from '../core/world.ts';
import { Backlog } from '../device/backlog.ts';
import type { NetDevice } from '../device/device.ts';
import { DeviceRegistry } from '../device/registry.ts';
import { loopbackDevice } from '../device/simple.ts';
import { Addresses } from '../inet/address.ts';
import { Fib } from '../inet/fib.ts';
import type { FibDevices } from '../inet/fib-path.ts';
import { Ip4 } from '../inet/ip4.ts';
import { Ip6 } from '../inet/ip6.ts';
import type { InetHost, TransportHandler } from '../inet/stack.ts';
import { InetSysctls } from '../inet/sysctl.ts';
import { Arp, sendEthernet } from '../link/arp.ts';
import { NeighbourTable } from '../link/neighbour.ts';
import { Conntrack } from '../netfilter/conntrack/conntrack.ts';
import { Ipset } from '../netfilter/ipset/ipset.ts';
import { Nat } from '../netfilter/nat/nat.ts';
import { Nftables } from '../netfilter/nft/nftables.ts';
import { openSocket, type SocketKind } from '../socket/open.ts';
import type { Socket } from '../socket/socket.ts';
import { Output } from '../transport/endpoint/output.ts';
import type { SockOwner } from '../transport/endpoint/sock.ts';
import { type FilterMaker, Sockets } from '../transport/endpoint/sockets.ts';
import { PacketSockets } from '../transport/packet.ts';
import { Raw } from '../transport/raw.ts';
import { TcpPorts } from '../transport/tcp.ts';
import { Udp } from '../transport/udp.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import * as ethernet from '../wire/ethernet.ts';
import { ICMP_DEST_UNREACH, ICMP_HOST_UNREACH } from '../wire/icmp.ts';
import { ICMPV6_ADDR_UNREACH, ICMPV6_DEST_UNREACH } from '../wire/icmpv6.ts';
import { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE } from '../wire/ipv4.ts';
import { NF_ACCEPT, NF_NETDEV_INGRESS, NFPROTO_NETDEV } from '../wire/uapi/netfilter.ts';
import { IFF_LOOPBACK } from '../wire/uapi/rtnetlink.ts';
import { AF_PACKET, SOCK_DGRAM, SOCK_RAW } from '../wire/uapi/socket.ts';
import { ArpPolicy } from './arp-policy.ts';
import { BpfHost } from './bpf-host.ts';
import { DefragHooks } from './defrag.ts';
import { egressHook } from './netdev-egress.ts';
import { NftHost } from './nft-host.ts';

/** Lines kept of the kernel log (`log` statements, LOG targets). */
const LOG_LINES = 1000;

export class Host implements InetHost {
  readonly name: string;
  readonly world: World;
  readonly hooks: Hooks;
  readonly devices: DeviceRegistry = new DeviceRegistry();
  readonly sysctls: InetSysctls;
  readonly fib4: Fib;
  readonly fib6: Fib;
  readonly addresses: Addresses;
  readonly neigh4: NeighbourTable;
  readonly neigh6: NeighbourTable;
  readonly protocols: Map<number, TransportHandler> = new Map();
  readonly lo: NetDevice;
  readonly arp: Arp;
  readonly ip4: Ip4;
  readonly ip6: Ip6;
  readonly sockets: Sockets;
  readonly udp: Udp;
  readonly udplite: Udp;
  readonly tcp: TcpPorts;
  readonly conntrack: Conntrack;
  readonly nat: Nat;
  readonly nftables: Nftables;
  readonly ipset: Ipset;
  /** The kernel log, newest last. */
  readonly log: string[] = [];
  /** Takes frames of ports that belong to a bridge; set by the bridge code. True: taken. */
  bridgeInput: ((dev: NetDevice, p: number) => boolean) | undefined;
  /** Takes frames with a VLAN tag for which there is a device: answers it. */
  vlanDevice: ((dev: NetDevice, proto: number, id: number) => NetDevice | undefined) | undefined;
  rawInput: InetHost['rawInput'];
  rawError: InetHost['rawError'];
  packetInput: InetHost['packetInput'];
  /** Cgroup programs, when there are any. */
  socketGate: ((p: number, egress: boolean) => boolean) | undefined;
  readonly #backlog: Backlog;
  readonly #kinds: readonly SocketKind[];
  #bpf: BpfHost | undefined;

  constructor(world: World, name: string) {
    this.world = world;
    world.hosts.set(name, (ifindex) => this.devices.get(ifindex));
    this.name = name;
    this.hooks = new Hooks(world, name);
    this.#backlog = new Backlog(world, (p, ifindex) => this.#receive(p, ifindex));
    const registry = this.devices;
    this.sysctls = new InetSysctls({
      nameOf: (i) => registry.get(i)?.name,
      indexOf: (n) => registry.byName(n)?.ifindex ?? 0,
      indices: () => [...registry].map((d) => d.ifindex),
    });
    const fibDevices: FibDevices = {
      index: (n) => registry.byName(n)?.ifindex ?? 0,
      exists: (i) => registry.get(i) !== undefined,
      flags: (i) => registry.get(i)?.flags ?? 0,
      group: (i) => registry.get(i)?.group ?? 0,
      ignoreLinkdown: (i) => this.sysctls.conf4(i, 'ignore_routes_with_linkdown') !== 0,
      hashPolicy: (f) => (f === AF_INET ? this.sysctls.ip4 : this.sysctls.ip6).fib_multipath_hash_policy,
    };
    this.fib4 = new Fib(AF_INET, fibDevices);
    this.fib6 = new Fib(AF_INET6, fibDevices);
    this.addresses = new Addresses(
      {
        world,
        device: (i) => registry.get(i),
        conf: (family, i, n) => (family === AF_INET ? this.sysctls.conf4(i, n) : this.sysctls.conf6(i, n)),
      },
      this.fib4,
      this.fib6,
    );
    this.neigh4 = new NeighbourTable(world, AF_INET, {
      solicit: (entry, to) => this.arp.solicit(entry, to),
      failed: (entry, p) => this.#unreachable(p, entry.dev),
      send: (dev, p, lladdr) => sendEthernet(dev, p, lladdr, ethernet.ETH_P_IP),
    });
    this.neigh6 = new NeighbourTable(world, AF_INET6, {
      solicit: (entry, to) => this.ip6.ndisc.solicit(entry, to),
      failed: (entry, p) => this.#unreachable(p, entry.dev),
      // An IPv4 packet may have an IPv6 next hop (RFC 5549): the packet says what it is.
      send: (dev, p, lladdr) => sendEthernet(dev, p, lladdr, world.slab.protocol(p)),
    });
    this.arp = new Arp(new ArpPolicy(this));
    this.lo = loopbackDevice(world);
    this.ip4 = new Ip4(this);
    this.ip6 = new Ip6(this);
    this.sockets = new Sockets(this);
    const output = new Output(this.sockets, this.ip4, this.ip6);
    const filters = (): FilterMaker => this.bpf.filters;
    this.sockets.filters = {
      classic: (sk, program) => filters().classic(sk, program),
      program: (sk, id) => filters().program(sk, id),
      reuseportClassic: (sk, program) => filters().reuseportClassic(sk, program),
      reuseportProgram: (sk, id) => filters().reuseportProgram(sk, id),
    };
    this.udp = new Udp(this.sockets, output);
    this.udplite = new Udp(this.sockets, output, true);
    this.tcp = new TcpPorts(this, this.ip4, this.ip6);
    this.protocols.set(IPPROTO_UDP, this.udp).set(IPPROTO_UDPLITE, this.udplite).set(IPPROTO_TCP, this.tcp);
    const both = [AF_INET, AF_INET6];
    const raw = new Raw(this.sockets, output).proto;
    const packet = new PacketSockets(this.sockets).proto;
    this.#kinds = [
      { families: both, type: SOCK_DGRAM, protocol: IPPROTO_UDP, proto: this.udp.proto },
      { families: both, type: SOCK_DGRAM, protocol: IPPROTO_UDPLITE, proto: this.udplite.proto },
      { families: both, type: SOCK_RAW, protocol: 'any', proto: raw, privileged: true },
      { families: [AF_PACKET], type: SOCK_RAW, protocol: 'any', proto: packet, privileged: true },
      { families: [AF_PACKET], type: SOCK_DGRAM, protocol: 'any', proto: packet, privileged: true },
    ];
    this.#listen();
    this.sysctls.onChange = (name): void => {
      if (name !== 'ipv6.disable_ipv6') return;
      for (const dev of registry)
        this.addresses.setDisabled6(dev.ifindex, this.sysctls.conf6(dev.ifindex, 'disable_ipv6') !== 0, dev.carrier);
    };
    registry.register(this.lo, 1);
    const defrag = new DefragHooks(this);
    this.conntrack = new Conntrack(world, this.hooks, {
      host: name,
      onTrack: (pf, on) => defrag.track(pf, on),
      broadcastMask: (oif, address) => {
        const own = this.addresses.list(AF_INET, oif).find((a) => a.broadcast?.[0] === address);
        return own === undefined || own.prefixLength === 0 ? 0 : (-1 << (32 - own.prefixLength)) >>> 0;
      },
    });
    const nftHost = new NftHost(this);
    this.nat = new Nat(this.conntrack, this.hooks, nftHost);
    this.nftables = new Nftables(nftHost);
    this.ipset = new Ipset(world, nftHost);
    this.nftables.xt.sets = this.ipset;
    this.addresses.onTentative = (address): void => this.ip6.ndisc.detect(address);
  }

  /** socket(2): a socket, or a negative errno. */
  socket(family: number, type: number, protocol = 0, owner?: SockOwner): Socket | number {
    return openSocket(this.sockets, this.#kinds, family, type, protocol, owner);
  }

  /** eBPF on this host; made when first asked for. */
  get bpf(): BpfHost {
    this.#bpf ??= new BpfHost(this);
    return this.#bpf;
  }
  /** True when something has asked for eBPF. */
  get hasBpf(): boolean {
    return this.#bpf !== undefined;
  }

  /** Keeps addresses, routes and neighbours in step with the devices. */
  #listen(): void {
    this.devices.listen((event, dev) => {
      const { ifindex } = dev;
      switch (event) {
        case 'register':
          this.sysctls.deviceAdded(ifindex);
          dev.input = (d, p): void => this.#enqueue(d, p);
          dev.netfilterEgress = egressHook(this.hooks, this.world.slab);
          return;
        case 'up':
          this.fib4.deviceUp(ifindex);
          this.fib6.deviceUp(ifindex);
          this.addresses.deviceUp(ifindex, dev.carrier);
          return;
        case 'down':
          this.neigh4.flushDevice(dev, false);
          this.neigh6.flushDevice(dev, false);
          this.addresses.deviceDown(ifindex);
          this.nat.flushMasquerade(ifindex);
          return;
        case 'carrier':
          this.addresses.carrier(ifindex, dev.carrier);
          return;
        case 'unregister':
          this.neigh4.flushDevice(dev, true);
          this.neigh6.flushDevice(dev, true);
          this.addresses.deviceGone(ifindex);
          this.sysctls.deviceRemoved(ifindex);
          return;
      }
    });
  }

  #enqueue(dev: NetDevice, p: number): void {
    if (!this.#backlog.push(p, dev.ifindex)) this.world.drop(p, DROP.CPU_BACKLOG, this.name);
  }

  /** A frame leaves the backlog: link layer, ingress hooks, then the protocol it carries. */
  #receive(p: number, ifindex: number): void {
    const dev = this.devices.get(ifindex);
    if (dev === undefined) return this.world.drop(p, DROP.DEV_READY, this.name);
    const { slab } = this.world;
    const { dv } = slab;
    if (!ethernet.check(slab.len(p))) return this.world.drop(p, DROP.DEV_HDR, this.name);
    const mac = slab.head(p);
    slab.setMac(p, mac);
    slab.setIif(p, ifindex);
    slab.setTstamp(p, this.world.now);
    slab.setPktType(p, this.#packetType(dev, mac));
    slab.pull(p, ethernet.HEADER_LENGTH);
    slab.setProtocol(p, ethernet.type(dv, mac));
    slab.setNetwork(p, slab.head(p));
    if (!this.#untag(p)) return this.world.drop(p, DROP.DEV_HDR, this.name);
    if (this.world.traced(p)) this.world.trace(p, { kind: 'receive', host: this.name, ifindex, dev: dev.name });
    this.world.probe?.hit({ point: 'netif_receive_skb', host: this.name, p, device: dev });
    this.input(p, dev);
  }

  /** Takes a VLAN tag, if there is one, out of the frame into the metadata; false when the frame ends in it. */
  #untag(p: number): boolean {
    const { slab } = this.world;
    const type = slab.protocol(p);
    if (type !== ethernet.ETH_P_8021Q && type !== ethernet.ETH_P_8021AD) return true;
    if (slab.len(p) < ethernet.VLAN_HEADER_LENGTH) return false;
    const mac = slab.mac(p);
    const at = slab.head(p);
    slab.setVlan(p, type, ethernet.vlanTci(slab.dv, at));
    slab.setProtocol(p, ethernet.vlanType(slab.dv, at));
    // The addresses move up to the inner type.
    slab.u8.copyWithin(mac + 4, mac, mac + 12);
    slab.setMac(p, mac + 4);
    slab.pull(p, ethernet.VLAN_HEADER_LENGTH);
    slab.setNetwork(p, slab.head(p));
    return true;
  }

  /** A packet behind its link header, on a device (its own or a VLAN's). Owns the packet. */
  input(p: number, dev: NetDevice): void {
    const { slab } = this.world;
    const { ifindex } = dev;
    if (dev.ingress !== undefined && !dev.ingress(dev, p)) return;
    if (this.hooks.run(NFPROTO_NETDEV, NF_NETDEV_INGRESS, p, ifindex, 0, ifindex) !== NF_ACCEPT) return;
    const proto = slab.vlanProto(p);
    if (proto !== 0) {
      const vlan = this.vlanDevice?.(dev, proto, slab.vlanTci(p) & 0xfff);
      if (vlan !== undefined) {
        slab.setVlan(p, 0, 0);
        slab.setIif(p, vlan.ifindex);
        vlan.stats.rxPackets++;
        vlan.stats.rxBytes += slab.len(p);
        slab.setPktType(p, this.#packetType(vlan, slab.mac(p)));
        if (!vlan.up) return this.world.drop(p, DROP.DEV_READY, this.name);
        return this.input(p, vlan);
      }
    }
    if (dev.master !== 0 && this.bridgeInput?.(dev, p)) return;
    if (proto !== 0) {
      // Frames of a VLAN that nobody has are not for this host; a tag of VLAN 0 is a priority only and ends here.
      const priority = (slab.vlanTci(p) & 0xfff) === 0;
      if (!priority) slab.setPktType(p, PACKET_OTHERHOST);
      slab.setVlan(p, 0, 0);
      if (priority && !this.#untag(p)) return this.world.drop(p, DROP.DEV_HDR, this.name);
      if (slab.vlanProto(p) !== 0) return this.input(p, dev);
    }
    const taken = this.packetInput?.(dev, p) === true;
    switch (slab.protocol(p)) {
      case ethernet.ETH_P_IP:
        return this.ip4.receive(dev, p);
      case ethernet.ETH_P_IPV6:
        return this.ip6.receive(dev, p);
      case ethernet.ETH_P_ARP:
        if (slab.pktType(p) === PACKET_OTHERHOST) return this.world.drop(p, DROP.OTHERHOST, this.name);
        return this.arp.receive(dev, p);
      default:
        if (taken) return slab.free(p);
        this.world.drop(p, DROP.UNHANDLED_PROTO, this.name);
    }
  }

  #packetType(dev: NetDevice, mac: number): number {
    const { dv, u8 } = this.world.slab;
    if (dev.adminFlags & IFF_LOOPBACK) return PACKET_HOST;
    if (ethernet.isMulticast(dv, mac)) return ethernet.isBroadcast(dv, mac) ? PACKET_BROADCAST : PACKET_MULTICAST;
    for (let i = 0; i < 6; i++) if (u8[mac + i] !== dev.address[i]) return PACKET_OTHERHOST;
    return PACKET_HOST;
  }

  /** A neighbour did not answer: whoever sent the packet hears of it. */
  #unreachable(p: number, dev: NetDevice): void {
    if (this.world.slab.protocol(p) === ethernet.ETH_P_IP)
      this.ip4.icmp.error(p, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0);
    else this.ip6.icmp.error(p, ICMPV6_DEST_UNREACH, ICMPV6_ADDR_UNREACH, 0);
    dev.stats.txDropped++;
    this.world.drop(p, DROP.NEIGH_FAILED, this.name);
  }

  /** Adds a line to the kernel log. */
  printk(line: string): void {
    if (this.log.length >= LOG_LINES) this.log.shift();
    this.log.push(line);
  }

  /** Reads a sysctl; undefined when there is no such name. */
  sysctl(name: string): string | undefined {
    const conntrack = /^net\.netfilter\.(nf_conntrack_.*)$/.exec(name);
    return conntrack ? this.conntrack.sysctl(conntrack[1]) : this.sysctls.read(name);
  }

  /** Writes a sysctl: 0 or an errno. */
  setSysctl(name: string, value: string): number {
    const conntrack = /^net\.netfilter\.(nf_conntrack_.*)$/.exec(name);
    return conntrack ? this.conntrack.setSysctl(conntrack[1], value) : this.sysctls.write(name, value);
  }
}
