/**
 * Lab files: a subset of containerlab's topology format, with link impairments and checks added.
 * See https://containerlab.dev/manual/topo-def-file/.
 *
 *     name: demo
 *     topology:
 *       nodes:
 *         a: { kind: linux, exec: ["ip addr add 10.0.0.1/24 dev eth1"] }
 *         b: { kind: linux, exec: ["ip addr add 10.0.0.2/24 dev eth1"] }
 *       links:
 *         - endpoints: ["a:eth1", "b:eth1"]
 *           impairments: { delay: 5ms, loss: 1% }
 *     checks:
 *       - { node: a, ping: 10.0.0.2 }
 */
import { parseMac } from '../wire/address.ts';
import { type Impairments, readDirections } from './impairment-spec.ts';
import { readYaml, type YamlValue } from './yaml-reader.ts';

export type NodeKind = 'linux' | 'bridge' | 'host';

export type NodeSpec = {
  readonly name: string;
  readonly kind: NodeKind;
  /** Command lines, run in order once all links exist. */
  readonly exec: readonly string[];
  readonly sysctls: ReadonlyMap<string, string>;
  /** A file of command lines, or the lines themselves; run before `exec`. */
  readonly startupConfig: string | undefined;
  /** Where the node stands in the file, for errors of its commands. */
  readonly at: YamlValue;
};

export type EndpointSpec = {
  readonly node: string;
  readonly interface: string;
  readonly mac: Uint8Array | undefined;
};

export type LinkSpec = {
  readonly a: EndpointSpec;
  readonly b: EndpointSpec;
  readonly mtu: number | undefined;
  /** From a to b and from b to a. */
  readonly aToB: Impairments | undefined;
  readonly bToA: Impairments | undefined;
};

export type CheckSpec = {
  readonly name: string;
  readonly node: string;
  /** Command line. */
  readonly command: string;
  /** Expected exit code. */
  readonly exit: number;
  /** Texts that standard output must hold, and must not hold. */
  readonly contains: readonly string[];
  readonly lacks: readonly string[];
  /** The whole of standard output, trailing blanks aside. */
  readonly output: string | undefined;
  /** World time to let pass first, seconds. */
  readonly after: number;
  readonly line: number;
};

export type Topology = {
  readonly name: string;
  readonly seed: number | undefined;
  readonly nodes: readonly NodeSpec[];
  readonly links: readonly LinkSpec[];
  readonly checks: readonly CheckSpec[];
};

const NODE_KEYS = ['kind', 'exec', 'sysctls', 'startup-config', 'image', 'labels', 'group'];
// containerlab's, without meaning for hosts inside one process.
const NODE_REFUSED = [
  'type',
  'license',
  'binds',
  'ports',
  'env',
  'env-files',
  'user',
  'entrypoint',
  'cmd',
  'mgmt-ipv4',
  'mgmt-ipv6',
  'network-mode',
  'cpu',
  'cpu-set',
  'memory',
  'runtime',
  'stages',
  'dns',
  'certificate',
  'healthcheck',
  'restart-policy',
  'startup-delay',
  'enforce-startup-config',
  'suppress-startup-config',
  'auto-remove',
  'aliases',
  'components',
  'devices',
  'cap-add',
  'shm-size',
  'image-pull-policy',
  'extras',
  'config',
];
const KINDS: readonly NodeKind[] = ['linux', 'bridge', 'host'];

type Defaults = ReadonlyMap<string, YamlValue>;

/** Reads a lab file. Throws LabError with line and column. */
export function readTopology(text: string, file: string): Topology {
  const top = readYaml(text, file).record(
    ['name', 'topology', 'checks', 'seed'],
    ['prefix', 'mgmt', 'settings', 'debug'],
  );
  const name = top.get('name');
  const topology = top.get('topology');
  if (name === undefined) throw readYaml(text, file).error('a lab file needs a "name"');
  if (topology === undefined) throw name.error('a lab file needs a "topology"');
  const parts = topology.record(['defaults', 'kinds', 'nodes', 'links'], ['groups']);
  const defaults: Defaults = parts.get('defaults')?.record(NODE_KEYS, NODE_REFUSED) ?? new Map();
  const kinds = new Map<string, Defaults>();
  for (const { key, keyValue, value } of parts.get('kinds')?.members() ?? []) {
    readKind(keyValue, key);
    kinds.set(key, value.record(NODE_KEYS, NODE_REFUSED));
  }
  const nodes = (parts.get('nodes')?.members() ?? []).map(({ key, keyValue, value }) =>
    readNode(key, keyValue, value, defaults, kinds),
  );
  if (nodes.length === 0) throw topology.error('topology has no nodes');
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const taken = new Set<string>();
  const links = (parts.get('links')?.list() ?? []).map((value) => readLink(value, byName, taken));
  const checks = (top.get('checks')?.list() ?? []).map((value) => readCheck(value, byName));
  return { name: name.text(), seed: top.get('seed')?.number(), nodes, links, checks };
}

function readKind(at: YamlValue, text: string): NodeKind {
  const kind = KINDS.find((k) => k === text);
  if (kind === undefined) throw at.error(`netloom does not support kind "${text}" (known: ${KINDS.join(', ')})`);
  return kind;
}

function readNode(
  name: string,
  at: YamlValue,
  value: YamlValue,
  defaults: Defaults,
  kinds: ReadonlyMap<string, Defaults>,
): NodeSpec {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name)) throw at.error(`"${name}" cannot be the name of a node`);
  const own = value.isNull ? new Map<string, YamlValue>() : value.record(NODE_KEYS, NODE_REFUSED);
  const kindValue = own.get('kind') ?? defaults.get('kind');
  const kind = kindValue === undefined ? 'linux' : readKind(kindValue, kindValue.text());
  const layers = [defaults, kinds.get(kind) ?? new Map<string, YamlValue>(), own];
  const sysctls = new Map<string, string>();
  for (const layer of layers)
    for (const { key, value: v } of layer.get('sysctls')?.members() ?? []) sysctls.set(key, v.text());
  // Command lists are joined, as containerlab joins them: defaults first.
  const exec = layers.flatMap((layer) => layer.get('exec')?.texts() ?? []);
  const startup = own.get('startup-config') ?? kinds.get(kind)?.get('startup-config') ?? defaults.get('startup-config');
  if (kind === 'bridge' && (exec.length > 0 || startup !== undefined)) {
    const which = own.get('exec') ?? own.get('startup-config') ?? at;
    throw which.error('a node of kind "bridge" runs no commands');
  }
  return { name, kind, exec, sysctls, startupConfig: startup?.text(), at };
}

function readEndpoint(value: YamlValue, nodes: ReadonlyMap<string, NodeSpec>): EndpointSpec {
  let node: string;
  let dev: string;
  let mac: Uint8Array | undefined;
  if (value.isMap) {
    const parts = value.record(['node', 'interface', 'mac'], ['ipv4', 'ipv6', 'vars']);
    const nodeValue = parts.get('node');
    const devValue = parts.get('interface');
    if (nodeValue === undefined || devValue === undefined)
      throw value.error('an endpoint needs "node" and "interface"');
    node = nodeValue.text();
    dev = devValue.text();
    const macValue = parts.get('mac');
    if (macValue !== undefined) {
      mac = parseMac(macValue.text());
      if (mac === undefined) throw macValue.error(`"${macValue.text()}" is no MAC address`);
    }
  } else {
    const m = /^([^:]+):([^:]+)$/.exec(value.text());
    if (m === null) throw value.error(`"${value.text()}" is no endpoint: expected "node:interface"`);
    node = m[1];
    dev = m[2];
    if (node === 'mgmt-net' || node === 'macvlan') throw value.error(`netloom does not support endpoint "${node}"`);
  }
  if (!nodes.has(node)) throw value.error(`there is no node "${node}"`);
  if (dev.length > 15 || /[/\s]/.test(dev)) throw value.error(`"${dev}" cannot be the name of an interface`);
  return { node, interface: dev, mac };
}

function readLink(value: YamlValue, nodes: ReadonlyMap<string, NodeSpec>, taken: Set<string>): LinkSpec {
  const parts = value.record(['endpoints', 'type', 'mtu', 'impairments', 'labels'], ['vars']);
  const type = parts.get('type');
  if (type !== undefined && type.text() !== 'veth')
    throw type.error(`netloom does not support link type "${type.text()}" (known: veth)`);
  const ends = parts.get('endpoints');
  if (ends === undefined) throw value.error('a link needs "endpoints"');
  const list = ends.list();
  if (list.length !== 2) throw ends.error(`a link has two endpoints, this one ${list.length}`);
  const [a, b] = list.map((end) => {
    const endpoint = readEndpoint(end, nodes);
    const key = `${endpoint.node}:${endpoint.interface}`;
    if (taken.has(key)) throw end.error(`interface "${key}" is used twice`);
    taken.add(key);
    return endpoint;
  });
  const mtu = parts.get('mtu');
  const number = mtu?.number();
  if (mtu !== undefined && (number === undefined || number < 68 || number > 65535 || !Number.isInteger(number)))
    throw mtu.error('mtu must be between 68 and 65535');
  const directions = readDirections(parts.get('impairments'));
  return { a, b, mtu: number, ...directions };
}

function readCheck(value: YamlValue, nodes: ReadonlyMap<string, NodeSpec>): CheckSpec {
  const keys = ['name', 'node', 'exec', 'ping', 'reachable', 'exit', 'contains', 'lacks', 'output', 'after'];
  const parts = value.record(keys);
  const node = parts.get('node');
  if (node === undefined) throw value.error('a check needs a "node"');
  if (!nodes.has(node.text())) throw node.error(`there is no node "${node.text()}"`);
  const exec = parts.get('exec');
  const ping = parts.get('ping');
  if ((exec === undefined) === (ping === undefined)) throw value.error('a check needs either "exec" or "ping"');
  const command = ping === undefined ? (exec?.text() ?? '') : `ping -c 1 -W 2 ${ping.text()}`;
  const reachable = parts.get('reachable');
  if (reachable !== undefined && ping === undefined) throw reachable.error('"reachable" goes with "ping"');
  const wanted = reachable?.boolean() ?? true;
  const title = ping === undefined ? command : `${ping.text()} is ${wanted ? '' : 'not '}reachable from ${node.text()}`;
  return {
    name: parts.get('name')?.text() ?? title,
    node: node.text(),
    command,
    // ping: 1 is no answer, 2 another failure; either is "not reachable".
    exit: parts.get('exit')?.number() ?? (wanted ? 0 : -1),
    contains: parts.get('contains')?.texts() ?? [],
    lacks: parts.get('lacks')?.texts() ?? [],
    output: parts.get('output')?.text(),
    after: parts.get('after')?.number() ?? 0,
    line: value.error('').line,
  };
}
