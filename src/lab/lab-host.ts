/**
 * One host of a lab, as its users see it: commands in, text and exit code out. Behind it stands a network namespace that
 * is reached by netlink, sysctls and sockets only.
 */
import { hostBpf } from '../netlink/bpf-transport.ts';
import { hostNetlink } from '../netlink/host-netlink.ts';
import { Host } from '../netns/host.ts';
import type { ToolResult } from '../tools/io.ts';
import { type CommandIo, runLine, runWords, type ToolTable } from '../tools/run.ts';
import { EchoPorts } from '../transport/ping.ts';
import { AF_INET6, AF_UNSPEC, parseAddress } from '../wire/address.ts';
import { Capture } from './capture.ts';
import type { Lab } from './lab.ts';

export class LabHost {
  readonly name: string;
  readonly lab: Lab;
  readonly #host: Host;
  readonly #io: CommandIo;
  readonly #tools: ToolTable;
  readonly #captures = new Map<string, Capture>();

  constructor(
    lab: Lab,
    name: string,
    tools: ToolTable,
    readFile: ((path: string) => string) | undefined,
    readBytes?: (path: string) => Uint8Array,
  ) {
    this.lab = lab;
    this.name = name;
    this.#tools = tools;
    this.#host = new Host(lab.world, name);
    const host = this.#host;
    const echo = new EchoPorts(host, host.ip4, host.ip6);
    this.#io = {
      netlink: hostNetlink(host),
      sysctl: {
        read: (n) => host.sysctl(n),
        write: (n, value) => host.setSysctl(n, value),
        names: () => host.sysctls.names(),
      },
      readFile,
      readBytes,
      bpf: hostBpf(host),
      ping: {
        now: () => lab.world.now,
        wait: (deadline, ready) => lab.clock.wait(deadline, ready),
        open: (family) => echo.open(family),
        resolve: (n, family) => lab.resolve(n, family),
      },
    };
  }

  /** The namespace itself, for links and captures; configuration goes through `exec`. */
  get namespace(): Host {
    return this.#host;
  }

  /**
   * Runs a command line ("ip route", "ping -c 1 10.0.0.9") or words. `onOutput` gets output while the command runs.
   *
   *     lab.host('a').exec('ping -c 1 b').code // 0
   */
  exec(command: string | readonly string[], onOutput?: (text: string) => void, stdin?: string): ToolResult {
    const io: CommandIo = { ...this.#io, ...(onOutput ? { onOutput } : {}), ...(stdin === undefined ? {} : { stdin }) };
    return typeof command === 'string' ? runLine(command, io, this.#tools) : runWords(command, io, this.#tools);
  }

  /** `exec`, but a failing command throws with its error text. Returns standard output. */
  run(command: string | readonly string[]): string {
    const { code, stdout, stderr } = this.exec(command);
    if (code !== 0) {
      const text = typeof command === 'string' ? command : command.join(' ');
      throw new Error(`${this.name}: "${text}" ended with ${code}: ${(stderr || stdout).trim()}`);
    }
    return stdout;
  }

  /** Starts a capture of an interface, or answers the running one. */
  capture(dev: string): Capture {
    const running = this.#captures.get(dev);
    if (running !== undefined) return running;
    const device = this.#host.devices.byName(dev);
    if (device === undefined) throw new Error(`${this.name} has no interface "${dev}"`);
    const capture = new Capture(this.lab.world, this.name, device);
    this.#captures.set(dev, capture);
    return capture;
  }

  /** Captures by interface name. */
  get captures(): ReadonlyMap<string, Capture> {
    return this.#captures;
  }

  /** The host's first address that others can reach, of a family (AF_UNSPEC: IPv4 first). */
  address(family: number): Uint8Array | undefined {
    type Shown = { addr_info: { family: string; local: string; scope: string }[] };
    const links = JSON.parse(this.exec('ip -j addr').stdout || '[]') as Shown[];
    const all = links.flatMap((link) => link.addr_info ?? []).filter((a) => a.scope === 'global');
    const pick = (name: string): string | undefined => all.find((a) => a.family === name)?.local;
    const text =
      family === AF_INET6 ? pick('inet6') : (pick('inet') ?? (family === AF_UNSPEC ? pick('inet6') : undefined));
    return text === undefined ? undefined : parseAddress(text);
  }
}
