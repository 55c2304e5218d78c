/**
 * A lab: hosts, links between them, one world with one clock. The same lab with the same seed gives the same packets.
 *
 *     const net = Lab.from(yamlText, 'lab.yml');
 *     net.start();
 *     net.host('a').exec('ping -c 2 10.0.0.2').stdout;
 */
import { World } from '../core/world.ts';
import { type VethPair, vethPair } from '../device/veth.ts';
import type { ToolResult } from '../tools/io.ts';
import { TOOLS, type ToolTable } from '../tools/run.ts';
import { type LabCheckResult, runCheck } from './check.ts';
import { LabClock, type RealClock } from './clock.ts';
import { impair } from './impairment.ts';
import type { Impairments } from './impairment-spec.ts';
import { LabHost } from './lab-host.ts';
import { type EndpointSpec, type LinkSpec, type NodeSpec, readTopology, type Topology } from './topology.ts';

const SECOND = 1e9;
/** Duplicate address detection and first neighbour messages are over by then. */
const SETTLE_SECONDS = 5;

export type LabOptions = {
  /** Seed of all randomness; the file's `seed` when left out, else 1. */
  readonly seed?: number;
  /** Reads files that commands and `startup-config` name. Without it there are none. */
  readonly readFile?: (path: string) => string;
  readonly readBytes?: (path: string) => Uint8Array;
  /** Commands beside the built-in ones. */
  readonly tools?: ToolTable;
  /** Packets that can be under way at once; default 4096. */
  readonly slots?: number;
};

/** A command that a node ran as the lab came up. */
export type StartedCommand = ToolResult & { readonly node: string; readonly command: string };

export class Lab {
  readonly topology: Topology;
  readonly world: World;
  readonly clock: LabClock;
  readonly #hosts = new Map<string, LabHost>();
  readonly #links = new Map<string, VethPair>();
  readonly #options: LabOptions;
  readonly #tools: ToolTable;

  constructor(topology: Topology, options: LabOptions = {}) {
    this.topology = topology;
    this.#options = options;
    this.#tools = { ...TOOLS, ...options.tools };
    this.world = new World({ seed: options.seed ?? topology.seed ?? 1, slots: options.slots ?? 4096 });
    this.clock = new LabClock(this.world);
    this.world.onDrop = (p, reason, host): void => {
      for (const capture of this.#hosts.get(host)?.captures.values() ?? []) capture.dropped(p, reason, host);
    };
    for (const node of topology.nodes) this.#addNode(node);
    topology.links.forEach((link, i) => {
      this.#addLink(link, i);
    });
  }

  /** Reads a lab file's text. Throws LabError with line and column. */
  static from(text: string, file = 'lab.yml', options: LabOptions = {}): Lab {
    return new Lab(readTopology(text, file), options);
  }

  #addNode(node: NodeSpec): void {
    const host = new LabHost(this, node.name, this.#tools, this.#options.readFile, this.#options.readBytes);
    this.#hosts.set(node.name, host);
    host.run('ip link set lo up');
    // A bridge node is one bridge named after it, as containerlab's is.
    if (node.kind === 'bridge') {
      host.run(['ip', 'link', 'add', bridgeName(node.name), 'type', 'bridge']);
      host.run(['ip', 'link', 'set', bridgeName(node.name), 'up']);
    }
  }

  #addLink(link: LinkSpec, index: number): void {
    const options = (
      end: EndpointSpec,
      side: number,
    ): { name: string; address: Uint8Array; mtu: number | undefined } => ({
      name: end.interface,
      address: end.mac ?? Uint8Array.of(2, 0, 0, index >> 8, index & 255, side),
      mtu: link.mtu,
    });
    const pair = vethPair(this.world, options(link.a, 1), options(link.b, 2));
    this.#links.set(`${link.a.node}:${link.a.interface}`, pair);
    for (const [end, dev] of [
      [link.a, pair.a],
      [link.b, pair.b],
    ] as const) {
      const host = this.host(end.node);
      host.namespace.devices.register(dev);
      const kind = this.topology.nodes.find((node) => node.name === end.node)?.kind;
      const master = kind === 'bridge' ? ['master', bridgeName(end.node)] : [];
      host.run(['ip', 'link', 'set', end.interface, ...master, 'up']);
    }
    // Deleting one end of a veth takes the other along, wherever it is.
    const [hostA, hostB] = [this.host(link.a.node).namespace, this.host(link.b.node).namespace];
    let gone = false;
    hostA.devices.listen((event, dev) => {
      if (event !== 'unregister' || dev !== pair.a || gone) return;
      gone = true;
      hostB.devices.unregister(pair.b);
    });
    hostB.devices.listen((event, dev) => {
      if (event !== 'unregister' || dev !== pair.b || gone) return;
      gone = true;
      hostA.devices.unregister(pair.a);
    });
    pair.impair(
      link.aToB === undefined ? undefined : impair(this.world, link.aToB),
      link.bToA === undefined ? undefined : impair(this.world, link.bToA),
    );
  }

  /** Changes what a link does to frames; it is named by its first endpoint, "a:eth1". `undefined` is a perfect link. */
  impair(link: string, aToB: Impairments | undefined, bToA: Impairments | undefined = aToB): void {
    const pair = this.#links.get(link);
    if (pair === undefined)
      throw new Error(`there is no link "${link}" (known: ${[...this.#links.keys()].join(', ')})`);
    pair.impair(
      aToB === undefined ? undefined : impair(this.world, aToB),
      bToA === undefined ? undefined : impair(this.world, bToA),
    );
  }

  /** The hosts in the order of the file. */
  get hosts(): readonly LabHost[] {
    return [...this.#hosts.values()];
  }

  /** A host by name; throws when there is none. */
  host(name: string): LabHost {
    const host = this.#hosts.get(name);
    if (host === undefined)
      throw new Error(`there is no node "${name}" (known: ${[...this.#hosts.keys()].join(', ')})`);
    return host;
  }

  /** Address of a node by its name. */
  resolve(name: string, family: number): Uint8Array | undefined {
    return this.#hosts.get(name)?.address(family);
  }

  /**
   * Brings the lab up: sysctls, `startup-config`, `exec` of each node in order, then some seconds of virtual time.
   * Returns every command with its result; a failing one does not stop the rest.
   */
  start(): StartedCommand[] {
    const results: StartedCommand[] = [];
    for (const node of this.topology.nodes) {
      const host = this.host(node.name);
      const run = (command: string): void => {
        results.push({ node: node.name, command, ...host.exec(command) });
      };
      for (const [key, value] of node.sysctls) run(`sysctl -w '${key}=${value}'`);
      for (const line of this.#startup(node)) run(line);
      for (const line of node.exec) run(line);
    }
    this.run(SETTLE_SECONDS);
    return results;
  }

  #startup(node: NodeSpec): string[] {
    const text = node.startupConfig;
    if (text === undefined) return [];
    let script = text;
    if (!text.includes('\n')) {
      if (this.#options.readFile === undefined) throw node.at.error(`startup-config "${text}" cannot be read here`);
      try {
        script = this.#options.readFile(text);
      } catch {
        throw node.at.error(`startup-config "${text}" cannot be read`);
      }
    }
    return script
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'));
  }

  /** Lets time pass, in seconds. */
  run(seconds: number): void {
    this.clock.wait(this.world.now + seconds * SECOND);
  }

  /** From now on time passes as on this clock. */
  realTime(clock: RealClock): void {
    this.clock.follow(clock);
  }

  /** Runs the file's checks in order. */
  check(): LabCheckResult[] {
    return this.topology.checks.map((check) => runCheck(this, check));
  }
}

/** Name of the bridge device of a bridge node. */
function bridgeName(node: string): string {
  return node.slice(0, 15);
}
