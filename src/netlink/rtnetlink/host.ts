/**
 * What rtnetlink asks of a host: its devices and neighbours to show and change. Addresses and routes it works on
 * directly (src/inet). The network namespace provides it.
 */
import type { World } from '../../core/world.ts';
import type { Addresses } from '../../inet/address.ts';
import type { Fib } from '../../inet/fib.ts';

/** A device as RTM_NEWLINK shows it. */
export type LinkView = {
  readonly ifindex: number;
  readonly name: string;
  /** IFLA_INFO_KIND: "veth", "bridge"...; "" for loopback. */
  readonly kind: string;
  /** ARPHRD_*. */
  readonly type: number;
  /** IFF_* with RUNNING and LOWER_UP as they stand. */
  readonly flags: number;
  readonly mtu: number;
  readonly minMtu: number;
  readonly maxMtu: number;
  readonly address: Uint8Array;
  readonly broadcast: Uint8Array;
  readonly txqlen: number;
  readonly group: number;
  readonly alias: string;
  /** IF_OPER_*. */
  readonly operstate: number;
  /** Interface index of the bridge it is a port of, 0 for none. */
  readonly master: number;
  /** Peer of a veth, device below a VLAN; -1 for neither. */
  readonly link: number;
  /** True when `link` is an index in another host. */
  readonly linkElsewhere: boolean;
  readonly qdisc: string;
  readonly promiscuity: number;
  readonly carrierChanges: number;
  /** Counters in the order of `struct rtnl_link_stats64`. */
  readonly stats: ArrayLike<number>;
  readonly vlan?: { readonly id: number; readonly protocol: number; readonly flags: number };
  /** IFLA_BR_* number to value, for bridges. */
  readonly bridge?: ReadonlyMap<number, number>;
};

/** What RTM_NEWLINK asks of an existing device; what is missing stays. */
export type LinkChange = {
  readonly name?: string;
  readonly mtu?: number;
  readonly address?: Uint8Array;
  readonly broadcast?: Uint8Array;
  readonly txqlen?: number;
  readonly group?: number;
  readonly alias?: string;
  /** 0 takes it out of its bridge. */
  readonly master?: number;
  /** IFF_* to set, and which of them are meant. */
  readonly flags?: number;
  readonly mask?: number;
  /** IFLA_BR_* options. */
  readonly bridge?: ReadonlyMap<number, number>;
  /** IFLA_INET6_ADDR_GEN_MODE. */
  readonly addrGenMode?: number;
};

/** What RTM_NEWLINK asks of a new device. */
export type LinkCreate = LinkChange & {
  readonly kind: string;
  /** Always given: rtnetlink picks "veth0" and the like. */
  readonly name: string;
  /** Wanted index, 0 for the next. */
  readonly ifindex: number;
  /** Device below (VLAN). */
  readonly link?: number;
  readonly vlan?: { readonly id: number; readonly protocol: number; readonly flags: number };
  /** The other end of a veth. */
  readonly peer?: LinkCreate;
};

/** A neighbour entry as RTM_NEWNEIGH shows it. Times are world nanoseconds. */
export type NeighbourView = {
  readonly family: number;
  readonly ifindex: number;
  readonly address: Uint8Array;
  readonly lladdr: Uint8Array | undefined;
  /** NUD_*. */
  readonly state: number;
  /** NTF_*. */
  readonly flags: number;
  readonly probes: number;
  readonly confirmed: number;
  readonly used: number;
  readonly updated: number;
  /** RTN_UNICAST, RTN_MULTICAST... of the address. */
  readonly type: number;
};

/** A bpf filter of clsact. */
export type TcFilterView = {
  readonly direction: 'ingress' | 'egress';
  /** Preference, 0 to have one chosen. */
  readonly prio: number;
  /** Ethertype, 3 (ETH_P_ALL) for any. */
  readonly protocol: number;
  readonly handle: number;
  readonly directAction: boolean;
  readonly name: string;
  /** Number of the program. */
  readonly program: number;
};

/** Programs attached to devices. Methods throw KernelError. */
export type TcHostView = {
  /** Interface indices, ascending. */
  devices(): readonly number[];
  hasClsact(ifindex: number): boolean;
  setClsact(ifindex: number, on: boolean): void;
  filters(ifindex: number): readonly TcFilterView[];
  addFilter(ifindex: number, filter: TcFilterView, replace: boolean): void;
  /** Preference and handle 0: any. The number removed. */
  removeFilters(ifindex: number, direction: 'ingress' | 'egress', prio: number, handle: number): number;
  /** Number of the XDP program, 0 for none. */
  xdp(ifindex: number): number;
  /** Program 0 takes it off. */
  setXdp(ifindex: number, program: number, onlyIfNone: boolean): void;
};

/** Methods throw KernelError. */
export type RtnetlinkHost = {
  readonly tc: TcHostView;
  readonly world: World;
  readonly addresses: Addresses;
  readonly fib4: Fib;
  readonly fib6: Fib;
  /** Ascending by index. */
  links(): readonly LinkView[];
  createLink(link: LinkCreate): void;
  changeLink(ifindex: number, change: LinkChange): void;
  deleteLink(ifindex: number): void;
  /** AF_INET or AF_INET6; with `proxy` the proxied addresses (`ip neigh show proxy`). */
  neighbours(family: number, proxy: boolean): readonly NeighbourView[];
  /** Creates or changes an entry; an undefined `lladdr` keeps the old one. */
  setNeighbour(entry: Pick<NeighbourView, 'family' | 'ifindex' | 'address' | 'lladdr' | 'state' | 'flags'>): void;
  /** False when there is no such entry. */
  deleteNeighbour(family: number, ifindex: number, address: Uint8Array, proxy: boolean): boolean;
  /** Tells of devices and neighbours that came, changed or went, from now on. */
  watch(
    link: (event: 'new' | 'del', link: LinkView) => void,
    neighbour: (event: 'new' | 'del', entry: NeighbourView) => void,
  ): void;
  /** A sysctl below net.ipv4.conf or net.ipv6.conf. */
  conf(family: number, ifindex: number, name: string): number | undefined;
};
