/**
 * The sysctls of the network layer: net.ipv4.*, net.ipv6.* and their conf/DEV tables, with Linux's names and defaults
 * (Documentation/networking/ip-sysctl.rst). The packet path reads plain numbers; the names are resolved here only.
 */
import { EINVAL, ENOENT } from '../core/errno.ts';

/** One table of numbers by sysctl name. */
export type Numbers = Record<string, number>;

const GLOBAL4: Readonly<Numbers> = {
  ip_default_ttl: 64,
  ip_nonlocal_bind: 0,
  ip_no_pmtu_disc: 0,
  ip_early_demux: 1,
  icmp_echo_ignore_all: 0,
  icmp_echo_ignore_broadcasts: 1,
  icmp_ignore_bogus_error_responses: 1,
  icmp_errors_use_inbound_ifaddr: 0,
  icmp_ratelimit: 1000,
  icmp_ratemask: 6168,
  icmp_msgs_per_sec: 1000,
  icmp_msgs_burst: 50,
  ipfrag_high_thresh: 4194304,
  ipfrag_low_thresh: 3145728,
  ipfrag_time: 30,
  ipfrag_max_dist: 64,
  fib_multipath_hash_policy: 0,
  fib_multipath_use_neigh: 0,
  fwmark_reflect: 0,
  ip_forward_use_pmtu: 0,
  ip_forward_update_priority: 1,
  tcp_l3mdev_accept: 0,
  min_pmtu: 552,
};

const GLOBAL6: Readonly<Numbers> = {
  bindv6only: 0,
  ip6frag_high_thresh: 4194304,
  ip6frag_low_thresh: 3145728,
  ip6frag_time: 60,
  fib_multipath_hash_policy: 0,
  auto_flowlabels: 1,
  flowlabel_consistency: 1,
  idgen_retries: 3,
  ip_nonlocal_bind: 0,
  fwmark_reflect: 0,
  'icmp.ratelimit': 1000,
  'icmp.echo_ignore_all': 0,
  'icmp.echo_ignore_multicast': 0,
  'icmp.echo_ignore_anycast': 0,
};

const CONF4: Readonly<Numbers> = {
  forwarding: 0,
  mc_forwarding: 0,
  accept_redirects: 1,
  secure_redirects: 1,
  shared_media: 1,
  rp_filter: 0,
  send_redirects: 1,
  accept_source_route: 0,
  accept_local: 0,
  src_valid_mark: 0,
  proxy_arp: 0,
  proxy_arp_pvlan: 0,
  medium_id: 0,
  bootp_relay: 0,
  log_martians: 0,
  tag: 0,
  arp_filter: 0,
  arp_announce: 0,
  arp_ignore: 0,
  arp_accept: 0,
  arp_notify: 0,
  arp_evict_nocarrier: 1,
  disable_xfrm: 0,
  disable_policy: 0,
  force_igmp_version: 0,
  promote_secondaries: 0,
  route_localnet: 0,
  drop_unicast_in_l2_multicast: 0,
  drop_gratuitous_arp: 0,
  ignore_routes_with_linkdown: 0,
  bc_forwarding: 0,
};

const CONF6: Readonly<Numbers> = {
  forwarding: 0,
  hop_limit: 64,
  mtu: 1500,
  accept_ra: 1,
  accept_redirects: 1,
  autoconf: 1,
  dad_transmits: 1,
  router_solicitations: -1,
  use_tempaddr: 0,
  accept_dad: 1,
  proxy_ndp: 0,
  accept_source_route: 0,
  disable_ipv6: 0,
  optimistic_dad: 0,
  suppress_frag_ndisc: 1,
  addr_gen_mode: 0,
  keep_addr_on_down: 0,
  enhanced_dad: 1,
  ndisc_notify: 0,
  accept_untracked_na: 0,
  drop_unicast_in_l2_multicast: 0,
  drop_unsolicited_na: 0,
  ignore_routes_with_linkdown: 0,
};

/** How `all` and a device's own value combine (IN_DEV_MAXCONF, ORCONF, ANDCONF). */
type Merge = 'max' | 'or' | 'and' | 'own';
const MERGE4: Readonly<Record<string, Merge>> = {
  rp_filter: 'max',
  arp_announce: 'max',
  arp_ignore: 'max',
  accept_local: 'or',
  proxy_arp: 'or',
  send_redirects: 'or',
  log_martians: 'or',
  arp_filter: 'or',
  arp_accept: 'max',
  route_localnet: 'or',
  mc_forwarding: 'and',
  accept_source_route: 'and',
  promote_secondaries: 'or',
};

/** Devices as the sysctl tree sees them. */
export type SysctlDevices = {
  nameOf(ifindex: number): string | undefined;
  indexOf(name: string): number;
  indices(): number[];
};

/** Told of a value that changed and has consequences elsewhere. `ifindex` 0: all. */
export type SysctlListener = (name: string, ifindex: number, value: number) => void;

type Tree = { readonly all: Numbers; readonly default: Numbers; readonly devices: Map<number, Numbers> };

/** A sysctl that is not one number: port ranges, lists. */
export type TextSysctl = {
  read(): string;
  /** 0 or an errno. */
  write(text: string): number;
};

export class InetSysctls {
  /** Sysctls that other layers keep, by their full name. */
  readonly text: Map<string, TextSysctl> = new Map();
  readonly ip4: Numbers = { ...GLOBAL4 };
  readonly ip6: Numbers = { ...GLOBAL6 };
  readonly #conf4: Tree = { all: { ...CONF4 }, default: { ...CONF4 }, devices: new Map() };
  readonly #conf6: Tree = { all: { ...CONF6 }, default: { ...CONF6 }, devices: new Map() };
  readonly #devices: SysctlDevices;
  onChange: SysctlListener | undefined;

  constructor(devices: SysctlDevices) {
    this.#devices = devices;
  }

  #of(tree: Tree, ifindex: number): Numbers {
    let conf = tree.devices.get(ifindex);
    if (conf === undefined) {
      conf = { ...tree.default };
      tree.devices.set(ifindex, conf);
    }
    return conf;
  }

  /** A new device takes the defaults of this moment. */
  deviceAdded(ifindex: number): void {
    this.#of(this.#conf4, ifindex);
    this.#of(this.#conf6, ifindex);
  }
  deviceRemoved(ifindex: number): void {
    this.#conf4.devices.delete(ifindex);
    this.#conf6.devices.delete(ifindex);
  }

  /** net.ipv4.conf.DEV.NAME as it takes effect, `all` considered. */
  conf4(ifindex: number, name: string): number {
    const own = this.#of(this.#conf4, ifindex)[name] ?? 0;
    switch (MERGE4[name]) {
      case 'max':
        return Math.max(own, this.#conf4.all[name]);
      case 'or':
        return own || this.#conf4.all[name];
      case 'and':
        return own && this.#conf4.all[name];
      default:
        return own;
    }
  }

  /** net.ipv6.conf.DEV.NAME. */
  conf6(ifindex: number, name: string): number {
    return this.#of(this.#conf6, ifindex)[name] ?? 0;
  }
  get forwarding6(): boolean {
    return this.#conf6.all.forwarding !== 0;
  }

  /** Where a name's value lies; undefined for a name that does not exist. */
  #locate(name: string): { table: Numbers; key: string; tree?: Tree; ifindex: number } | undefined {
    // Device names may have dots; sysctl(8) writes those as slashes.
    const path = name.includes('/') && !name.startsWith('net.') ? name.replaceAll('/', '.') : name;
    if (path === 'net.ipv4.ip_forward')
      return { table: this.#conf4.all, key: 'forwarding', tree: this.#conf4, ifindex: 0 };
    const conf = /^net\.ipv([46])\.conf\.(.+)\.([a-z0-9_]+)$/.exec(path);
    if (conf) {
      const tree = conf[1] === '4' ? this.#conf4 : this.#conf6;
      const device = conf[2].replaceAll('/', '.');
      const ifindex = this.#devices.indexOf(device);
      const table =
        device === 'all'
          ? tree.all
          : device === 'default'
            ? tree.default
            : ifindex
              ? this.#of(tree, ifindex)
              : undefined;
      if (table === undefined || !Object.hasOwn(table, conf[3])) return undefined;
      return { table, key: conf[3], tree: device === 'all' ? tree : undefined, ifindex };
    }
    const global = /^net\.ipv([46])\.(.+)$/.exec(path);
    if (global === null) return undefined;
    const table = global[1] === '4' ? this.ip4 : this.ip6;
    return Object.hasOwn(table, global[2]) ? { table, key: global[2], ifindex: 0 } : undefined;
  }

  /** The value as text, undefined when there is no such name. */
  read(name: string): string | undefined {
    const text = this.text.get(name);
    if (text !== undefined) return text.read();
    const place = this.#locate(name);
    return place === undefined ? undefined : String(place.table[place.key]);
  }

  /** 0, ENOENT, or EINVAL for text that is not a number. */
  write(name: string, text: string): number {
    const other = this.text.get(name);
    if (other !== undefined) return other.write(text);
    const place = this.#locate(name);
    if (place === undefined) return ENOENT;
    if (!/^\s*-?\d+\s*$/.test(text)) return EINVAL;
    const value = Number(text);
    const { table, key, tree } = place;
    table[key] = value;
    if (tree !== undefined && (key === 'forwarding' || key === 'disable_ipv6')) {
      // Forwarding and disable_ipv6 reach every device and later ones.
      tree.default[key] = value;
      for (const ifindex of this.#devices.indices()) this.#of(tree, ifindex)[key] = value;
    }
    this.onChange?.(
      `${tree === this.#conf6 || name.startsWith('net.ipv6') ? 'ipv6' : 'ipv4'}.${key}`,
      place.ifindex,
      value,
    );
    return 0;
  }

  /** Every name. */
  names(): string[] {
    const out: string[] = ['net.ipv4.ip_forward', ...this.text.keys()];
    const devices = ['all', 'default', ...this.#devices.indices().map((i) => this.#devices.nameOf(i) ?? '')];
    for (const device of devices) {
      const text = device.replaceAll('.', '/');
      for (const key of Object.keys(CONF4)) out.push(`net.ipv4.conf.${text}.${key}`);
      for (const key of Object.keys(CONF6)) out.push(`net.ipv6.conf.${text}.${key}`);
    }
    for (const key of Object.keys(this.ip4)) out.push(`net.ipv4.${key}`);
    for (const key of Object.keys(this.ip6)) out.push(`net.ipv6.${key}`);
    return out.sort();
  }
}
