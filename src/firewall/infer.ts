/**
 * Interfaces, addresses and routes that a ruleset does not carry: taken from flags and saved `ip -j` output, and what is
 * still missing inferred from the names and networks that the rules and the packets use. Everything inferred is said.
 */
import { formatAddress, maskAddress, parseAddress, parsePrefix, sameBytes } from '../wire/address.ts';
import { BadInput } from './problem.ts';

export type IfaceSpec = { readonly name: string; readonly addresses: readonly string[] };

export type RouteSpec = { readonly to: string; readonly via?: string; readonly dev?: string };

/** What flags and saved output say. */
export type Given = {
  readonly ifaces: readonly IfaceSpec[];
  readonly routes: readonly RouteSpec[];
};

/** `lan=10.0.0.1/24,fd00::1/64` or just `lan`. */
export function parseIface(text: string): IfaceSpec {
  const [name, list] = text.split('=', 2);
  if (!/^[^\s/:=]{1,15}$/.test(name)) throw new BadInput(`--iface ${text}: expected NAME=ADDRESS/LENGTH[,...]`);
  const addresses = (list ?? '').split(',').filter((each) => each !== '');
  for (const address of addresses)
    if (parsePrefix(address) === undefined || !address.includes('/'))
      throw new BadInput(`--iface ${text}: ${address} is no ADDRESS/LENGTH`);
  return { name, addresses };
}

/** `default via 192.0.2.1 dev wan`, `10.1.0.0/16 via 10.0.0.2`. */
export function parseRoute(text: string): RouteSpec {
  const words = text.trim().split(/\s+/);
  const to = words[0] ?? '';
  if (to !== 'default' && parsePrefix(to) === undefined) throw new BadInput(`--route ${text}: ${to} is no network`);
  let via: string | undefined;
  let dev: string | undefined;
  for (let i = 1; i < words.length; i += 2) {
    if (words[i] === 'via' && parseAddress(words[i + 1] ?? '') !== undefined) via = words[i + 1];
    else if (words[i] === 'dev' && words[i + 1] !== undefined) dev = words[i + 1];
    else throw new BadInput(`--route ${text}: expected NETWORK [via ADDRESS] [dev NAME]`);
  }
  if (via === undefined && dev === undefined) throw new BadInput(`--route ${text}: expected via ADDRESS or dev NAME`);
  return { to, ...(via !== undefined && { via }), ...(dev !== undefined && { dev }) };
}

function json(text: string, what: string): Record<string, unknown>[] {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value))
      return value.filter((v) => typeof v === 'object' && v !== null) as Record<string, unknown>[];
  } catch (error) {
    throw new BadInput(`${what}: ${(error as Error).message}`);
  }
  throw new BadInput(`${what}: expected the output of ip -j`);
}

/** Saved output of `ip -j addr`. */
export function parseAddrJson(text: string): IfaceSpec[] {
  return json(text, '--addr-json')
    .filter((link) => typeof link.ifname === 'string' && link.ifname !== 'lo')
    .map((link) => {
      const list = Array.isArray(link.addr_info) ? (link.addr_info as Record<string, unknown>[]) : [];
      return {
        name: link.ifname as string,
        addresses: list
          .filter((a) => a.local && !/^fe80:/i.test(String(a.local)))
          .map((a) => `${a.local}/${a.prefixlen}`),
      };
    });
}

/** Saved output of `ip -j route` or `ip -j -6 route`; the kernel's own routes come with the addresses. */
export function parseRouteJson(text: string): RouteSpec[] {
  return json(text, '--route-json')
    .filter((r) => typeof r.dst === 'string' && r.protocol !== 'kernel')
    .map((r) => ({
      to: r.dst as string,
      ...(typeof r.gateway === 'string' && { via: r.gateway }),
      ...(typeof r.dev === 'string' && { dev: r.dev }),
    }));
}

/** What a look over the text of a ruleset finds, without understanding it. */
export type Hints = {
  /** Interface names in the order they turn up, without lo; wildcards stand for their first member. */
  readonly names: readonly string[];
  /** Networks that rules use as a source on an interface coming in or as a destination on one going out. */
  readonly networks: ReadonlyMap<string, readonly string[]>;
  /** Interfaces that source NAT goes out on. */
  readonly uplinks: readonly string[];
  /** Addresses that source NAT uses, by interface. */
  readonly natAddress: ReadonlyMap<string, string>;
  /** Addresses that destination NAT leads to. */
  readonly natTargets: readonly string[];
  /** True when something is said about forwarded packets, or addresses are translated. */
  readonly forwards: boolean;
};

const ADDRESS = String.raw`(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:.]+)(?:\/\d{1,3})?`;
const NAME = String.raw`"?[A-Za-z][\w.@+*-]*"?`;

function unquote(name: string): string {
  return name.replace(/^"|"$/g, '');
}

/** "eth*" and "eth+" stand for eth0. */
function concrete(name: string): string {
  return unquote(name).replace(/[*+]$/, '0');
}

/** Replaces `$name` by what `define` gave it, as far as plain text goes. */
function expandDefines(text: string): string {
  const defines = new Map<string, string>();
  for (const m of text.matchAll(/^\s*(?:re)?define\s+(\w+)\s*=\s*(\{[^}]*\}|[^\n;#]+)/gm))
    defines.set(m[1], m[2].trim());
  let out = text.replace(/^\s*(?:re)?define\s+(\w+)\s*=\s*(\{[^}]*\}|[^\n;#]+)/gm, '');
  for (let i = 0; i < 5 && defines.size > 0; i++)
    out = out.replace(/\$(\w+)/g, (all, name) => defines.get(name) ?? all);
  return out;
}

/** Networks kept of one interface: only its first of each family gives an address. */
const MAX_NETWORKS = 100;

const NFT_IFACE = new RegExp(String.raw`\b([io])(?:if|ifname)\s+(?:(!=|==)\s*)?(?:vmap\s+)?(${NAME}|\{[^}]*\})`, 'g');
const XT_IFACE = new RegExp(String.raw`(?:^|\s)(!\s+)?(?:-([io])|--(in|out)-interface)\s+(!\s+)?(${NAME})`, 'g');
const SOURCE = new RegExp(String.raw`(?:saddr|-s|--source)\s+(${ADDRESS})`, 'g');
const DESTINATION = new RegExp(String.raw`(?:daddr|-d|--destination)\s+(${ADDRESS})`, 'g');
const DNAT = /(?:\bdnat (?:ip6? )?to|--to-destination)\s+(\d+(?:\.\d+){3}|[0-9a-fA-F]+:[0-9a-fA-F:]+)/g;
const WHOLE_NAME = new RegExp(`^${NAME}$`);

/** Looks over an nft script or iptables lines. */
export function hints(source: string): Hints {
  const text = expandDefines(source.replace(/^\s*#.*$/gm, ''));
  const names: string[] = [];
  const networks = new Map<string, string[]>();
  const uplinks: string[] = [];
  const natAddress = new Map<string, string>();
  const add = (name: string): string => {
    const real = concrete(name);
    if (real !== 'lo' && real.length < 16 && !names.includes(real)) names.push(real);
    return real;
  };
  const members = (list: string): string[] =>
    list.startsWith('{')
      ? list
          .slice(1, -1)
          .split(',')
          .map((m) => m.trim().split(/\s*[.:]\s+|\s+/)[0])
          .filter((m) => m !== '')
      : [list];
  for (const line of text.split('\n')) {
    const inward: string[] = [];
    const outward: string[] = [];
    for (const [, side, op, list] of line.matchAll(NFT_IFACE))
      for (const member of members(list)) {
        if (!WHOLE_NAME.test(member) || /^(?:vmap|map)$/.test(member)) continue;
        const name = add(member);
        if (op !== '!=') (side === 'i' ? inward : outward).push(name);
      }
    for (const [, not, short, long, not2, name] of line.matchAll(XT_IFACE)) {
      const real = add(name);
      if (not === undefined && not2 === undefined) (short === 'i' || long === 'in' ? inward : outward).push(real);
    }
    const note = (list: readonly string[], network: string): void => {
      for (const name of list) {
        const known = networks.get(name);
        if (known === undefined) networks.set(name, [network]);
        else if (known.length < MAX_NETWORKS) known.push(network);
      }
    };
    for (const m of line.matchAll(SOURCE)) note(inward, m[1]);
    for (const m of line.matchAll(DESTINATION)) note(outward, m[1]);
    if (/\bmasquerade\b|\bsnat\b|-j (?:MASQUERADE|SNAT)\b/.test(line)) {
      uplinks.push(...outward.filter((name) => !uplinks.includes(name) && name !== 'lo'));
      const to = new RegExp(String.raw`(?:snat(?: ip6?)? to|--to-source)\s+(${ADDRESS})`).exec(line);
      if (to !== null) for (const name of outward) natAddress.set(name, to[1].replace(/[/:-](?![0-9a-f]*:).*$/, ''));
    }
  }
  const forwards =
    /hook\s+forward\b/.test(text) ||
    /(?:^|\s)-[AI]\s+FORWARD\b/.test(text) ||
    /\b(?:masquerade|snat|dnat)\b|-j (?:MASQUERADE|SNAT|DNAT)\b/.test(text);
  const natTargets = [...new Set([...text.matchAll(DNAT)].map((m) => m[1]))];
  return { names, networks, uplinks, natAddress, natTargets, forwards };
}

/** An interface as the host will have it. */
export type PlannedIface = { readonly name: string; readonly addresses: string[] };

export type Plan = {
  readonly ifaces: PlannedIface[];
  readonly routes: RouteSpec[];
  /** Sentences about what was inferred. */
  readonly notes: string[];
};

/** A packet's part that helps to guess: where it comes in, and its addresses. */
export type PacketHint = {
  readonly iface?: string;
  readonly local: boolean;
  readonly saddr?: string;
  readonly daddr?: string;
};

/** Networks of documentation (RFC 5737, 3849), for an uplink that nobody described. */
const UPLINK4 = { address: '192.0.2.2/24', gateway: '192.0.2.1' };
const UPLINK6 = { address: '2001:db8:ffff::2/64', gateway: '2001:db8:ffff::1' };

function isPrivate(address: string): boolean {
  return /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|169\.254\.|127\.|f[cd]|fe80:)/i.test(address);
}

function contains(network: string, address: string): boolean {
  const prefix = parsePrefix(network);
  const bytes = parseAddress(address);
  if (prefix === undefined || bytes === undefined || bytes.length !== prefix.address.length) return false;
  return sameBytes(maskAddress(bytes, prefix.length), maskAddress(prefix.address, prefix.length));
}

/** The first host address of a network that is none of `taken`, with the network's length. */
function hostIn(network: string, taken: readonly string[]): string {
  const prefix = parsePrefix(network) as NonNullable<ReturnType<typeof parsePrefix>>;
  const bits = prefix.address.length * 8;
  const wide = prefix.length >= bits - 1;
  const length = wide ? (bits === 32 ? 24 : 64) : prefix.length;
  const base = maskAddress(prefix.address, length);
  for (const last of [1, 254, 2, 3]) {
    const candidate = Uint8Array.from(base);
    candidate[candidate.length - 1] |= last;
    const text = formatAddress(candidate);
    if (!taken.includes(text)) return `${text}/${length}`;
  }
  return `${formatAddress(base)}/${length}`;
}

/** Fills in what is not given. */
export function plan(given: Given, found: Hints, packets: readonly PacketHint[]): Plan {
  const ifaces: PlannedIface[] = given.ifaces.map(({ name, addresses }) => ({ name, addresses: [...addresses] }));
  const routes: RouteSpec[] = [...given.routes];
  const notes: string[] = [];
  const said = new Set(given.ifaces.map((i) => i.name));
  const get = (name: string): PlannedIface => {
    let iface = ifaces.find((i) => i.name === name);
    if (iface === undefined) {
      iface = { name, addresses: [] };
      ifaces.push(iface);
    }
    return iface;
  };
  for (const name of found.names) if (!said.has(name)) get(name);
  for (const { iface } of packets) {
    if (iface === undefined || iface === 'lo') continue;
    // Once somebody has described the interfaces, an unknown one is a mistake and no discovery.
    if (given.ifaces.length > 0 && !ifaces.some((i) => i.name === iface))
      throw new BadInput(`there is no interface ${iface}; there are ${ifaces.map((i) => i.name).join(', ')}`);
    get(iface);
  }
  if (ifaces.length === 0) get('eth0');
  const taken = packets.flatMap((p) => [p.saddr, p.daddr]).filter((a) => a !== undefined);
  const add = (iface: PlannedIface, address: string, why: string): void => {
    iface.addresses.push(address);
    notes.push(`${iface.name} has ${address} (${why})`);
  };
  const covered = (address: string): boolean => ifaces.some((i) => i.addresses.some((a) => contains(a, address)));
  const family = (address: string): number => (address.includes(':') ? 6 : 4);
  const lacks = (iface: PlannedIface, version: number): boolean =>
    !said.has(iface.name) && !iface.addresses.some((a) => family(a) === version);

  // Networks that rules use together with an interface.
  for (const iface of ifaces)
    for (const network of found.networks.get(iface.name) ?? [])
      if (network.includes('/') && isPrivate(network) && lacks(iface, family(network)) && !/\/0$/.test(network))
        add(iface, hostIn(network, taken), 'the rules use this network with it');
  const uplink = uplinkOf(ifaces, found, packets, routes);
  // The network a packet comes from.
  for (const p of packets) {
    const iface = p.iface === undefined ? undefined : get(p.iface);
    if (iface === undefined || p.saddr === undefined || covered(p.saddr)) continue;
    const version = family(p.saddr);
    if (lacks(iface, version) && (isPrivate(p.saddr) || iface.name !== uplink))
      add(iface, hostIn(`${p.saddr}/${version === 6 ? 64 : 24}`, taken), 'the packet comes from there');
  }
  // A private destination that nobody has lies behind an interface without a network, not behind the uplink.
  const behind = (address: string, from: string | undefined, why: string): void => {
    if (!isPrivate(address) || covered(address) || !found.forwards) return;
    const version = family(address);
    const free = ifaces.filter((i) => i.name !== from && i.name !== uplink && lacks(i, version));
    const iface = free.find((i) => /dmz|srv|server|docker|lxc|virbr/i.test(i.name)) ?? free[0];
    if (iface !== undefined) add(iface, hostIn(`${address}/${version === 6 ? 64 : 24}`, [...taken, address]), why);
  };
  for (const p of packets)
    if (p.daddr !== undefined) behind(p.daddr, p.iface, 'the packet goes there, and nothing else does');
  for (const address of found.natTargets)
    behind(address, undefined, `the rules lead to ${address}, and nothing else does`);
  if (uplink !== undefined) {
    const iface = get(uplink);
    for (const [version, net] of [
      [4, UPLINK4],
      [6, UPLINK6],
    ] as const) {
      const wanted = taken.some((a) => family(a) === version);
      if (!wanted) continue;
      if (lacks(iface, version)) {
        const nat = found.natAddress.get(uplink);
        if (nat !== undefined && family(nat) === version && parseAddress(nat) !== undefined)
          add(iface, `${nat}/${version === 6 ? 64 : 24}`, 'the rules translate to it');
        else add(iface, net.address, 'nothing says which; taken from the documentation networks');
      }
      const hasDefault = routes.some(
        (r) => (r.to === 'default' && family(r.via ?? (version === 6 ? ':' : '')) === version) || /\/0$/.test(r.to),
      );
      const own = iface.addresses.find((a) => family(a) === version);
      if (!hasDefault && own !== undefined) {
        const via = gatewayIn(own, version === 6 ? UPLINK6.gateway : UPLINK4.gateway, net.address);
        routes.push({ to: version === 6 ? '::/0' : '0.0.0.0/0', via, dev: uplink });
        notes.push(
          `the default route goes via ${via} dev ${uplink} (${found.uplinks.includes(uplink) ? 'source NAT goes out there' : 'the most likely uplink'})`,
        );
      }
    }
  }
  // A host that forwards nothing is the destination itself.
  for (const p of packets)
    if (
      !found.forwards &&
      !p.local &&
      p.daddr !== undefined &&
      !covered(p.daddr) &&
      parseAddress(p.daddr) !== undefined
    ) {
      const iface = p.iface === undefined ? ifaces[0] : get(p.iface);
      if (said.has(iface.name)) continue;
      add(
        iface,
        `${p.daddr}/${p.daddr.includes(':') ? 64 : 24}`,
        'the rules forward nothing, so the packet is for this host',
      );
    }
  // Interfaces that nothing was said about still need an address to be able to receive.
  let n = 0;
  for (const iface of ifaces)
    if (lacks(iface, 4) && lacks(iface, 6) && !said.has(iface.name)) {
      n++;
      add(iface, `10.99.${n}.1/24`, 'nothing says which');
    }
  return { ifaces, routes, notes };
}

function gatewayIn(own: string, preferred: string, documentation: string): string {
  return own === documentation ? preferred : hostIn(own, [own.split('/')[0]]).split('/')[0];
}

/** The interface towards the internet: where source NAT goes out, what its name says, or the one that no packet comes from. */
function uplinkOf(
  ifaces: readonly PlannedIface[],
  found: Hints,
  packets: readonly PacketHint[],
  routes: readonly RouteSpec[],
): string | undefined {
  const given = routes.find((r) => r.to === 'default' || /\/0$/.test(r.to))?.dev;
  if (given !== undefined) return given;
  if (found.uplinks.length > 0) return found.uplinks[0];
  const named = ifaces.find((i) => /^(?:wan|ppp|uplink|ext|inet|internet|outside|wwan)/i.test(i.name));
  if (named !== undefined) return named.name;
  const sources = packets.map((p) => p.iface);
  const other = ifaces.find((i) => !sources.includes(i.name) && !i.addresses.some(isPrivate));
  return (other ?? ifaces[0])?.name;
}
