/**
 * Attached tracing programs of one world: takes the events of `world.probe` and runs what is attached to their points.
 *
 *     const detach = TracePoints.of(world).attach(system.machine, loaded);
 */
import { type TracePoint, tracePoint } from '../bpf/btf-types/index.ts';
import { contextFits } from '../bpf/progtype/index.ts';
import type { Machine } from '../bpf/runtime/machine.ts';
import { BadAccess, Regions } from '../bpf/runtime/regions.ts';
import type { LoadedProgram } from '../bpf/system.ts';
import { EINVAL, EOPNOTSUPP, KernelError } from '../core/errno.ts';
import type { ProbeDevice, ProbeEvent, ProbeSink } from '../core/probe.ts';
import type { World } from '../core/world.ts';
import {
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_TRACEPOINT,
  BPF_PROG_TYPE_TRACING,
  BPF_TRACE_FEXIT,
} from '../wire/uapi/bpf.ts';
import { TraceScene } from './trace-scene.ts';

/** Points that some place of the stack hits. */
export const LIVE_POINTS: ReadonlySet<string> = new Set([
  'netif_receive_skb',
  'net_dev_queue',
  'net_dev_start_xmit',
  'kfree_skb',
  'consume_skb',
  'icmp_send',
  'nf_hook',
  'nft_rule',
  'ip_rcv',
  'ipv6_rcv',
  'arp_rcv',
  'ip_forward',
  'ip6_forward',
  'ip_local_deliver',
  'ip_output',
  'ip6_output',
  'icmp_rcv',
  'icmpv6_rcv',
  'udp_rcv',
  'udpv6_rcv',
  'tcp_v4_rcv',
  'tcp_v6_rcv',
]);

/** What a tracing program's run tells helpers: `bpf_get_current_comm` answers the host's name. */
export type TraceRun = { readonly kind: 'trace'; readonly host: string };

type Attached = {
  readonly machine: Machine;
  readonly loaded: LoadedProgram;
  readonly record: boolean;
  /** Only events of this host; '' for all. */
  readonly host: string;
};

export class TracePoints implements ProbeSink {
  readonly #world: World;
  /** There while something is attached. */
  #scene: TraceScene | undefined;
  readonly #points = new Map<string, { readonly point: TracePoint; readonly programs: Attached[] }>();
  /** Runs that ended in a bad access: holes in the verifier. */
  readonly failures: BadAccess[] = [];
  #running = false;

  private constructor(world: World) {
    this.#world = world;
  }

  /** The tracing of a world. */
  static of(world: World): TracePoints {
    return world.probe instanceof TracePoints ? world.probe : new TracePoints(world);
  }

  /**
   * Attaches a program to the point it was loaded for (`spec.target`), for one host or all; the answer detaches it again.
   * Throws KernelError.
   */
  attach(machine: Machine, loaded: LoadedProgram, host = ''): () => void {
    const { type, target = '', expectedAttachType } = loaded.spec;
    const point = tracePoint(target);
    if (point === undefined) throw new KernelError(EINVAL, `netloom has no tracing point '${target}'`);
    if (!LIVE_POINTS.has(point.name))
      throw new KernelError(EOPNOTSUPP, `netloom does not hit the tracing point ${point.name} yet`);
    if (type === BPF_PROG_TYPE_TRACING && expectedAttachType === BPF_TRACE_FEXIT)
      throw new KernelError(EOPNOTSUPP, 'netloom does not run programs at the end of functions yet');
    const record = type === BPF_PROG_TYPE_TRACEPOINT;
    if (record && point.record === undefined)
      throw new KernelError(EOPNOTSUPP, `netloom has no record of ${point.name}: use tp_btf or raw_tp`);
    if (!record && type !== BPF_PROG_TYPE_TRACING && type !== BPF_PROG_TYPE_RAW_TRACEPOINT)
      throw new KernelError(EINVAL, `program ${loaded.name} is not a tracing program`);
    const size = record ? (point.record?.size ?? 0) : (point.args.length + 1) * 8;
    if (!contextFits(loaded.verdict.ctxRead, size))
      throw new KernelError(EINVAL, `program ${loaded.name} reads more than ${point.name} has`);
    const entry = this.#points.get(point.name) ?? { point, programs: [] };
    this.#points.set(point.name, entry);
    const attached: Attached = { machine, loaded, record, host };
    entry.programs.push(attached);
    this.#scene ??= new TraceScene(this.#world.slab);
    this.#world.probe = this;
    return () => {
      const at = entry.programs.indexOf(attached);
      if (at >= 0) entry.programs.splice(at, 1);
      if (entry.programs.length === 0) this.#points.delete(point.name);
      if (this.#points.size > 0) return;
      this.#scene?.close();
      this.#scene = undefined;
      if (this.#world.probe === this) this.#world.probe = undefined;
    };
  }

  hit(event: ProbeEvent): void {
    const entry = this.#points.get(event.point);
    // What a program does to the stack (a message it sends) is not traced itself.
    if (entry === undefined || this.#running) return;
    this.#running = true;
    try {
      if (this.#scene !== undefined) this.#run(this.#scene, entry.point, entry.programs, event);
    } finally {
      this.#running = false;
    }
  }

  #run(scene: TraceScene, point: TracePoint, programs: readonly Attached[], event: ProbeEvent): void {
    const { hosts } = this.#world;
    const lookup = hosts.get(event.host);
    const find = (ifindex: number): ProbeDevice | undefined => lookup?.(ifindex);
    const device = event.device ?? (event.ifindex === undefined ? undefined : find(event.ifindex));
    const host = event.host === '' ? this.#hostOf(event.device) : event.host;
    scene.set(point, event, device, find, [...hosts.keys()].indexOf(host) + 1);
    for (const attached of programs) {
      if (attached.host !== '' && attached.host !== host) continue;
      if (attached.record && point.record !== undefined) scene.setRecord(point.record, event, device);
      this.#enter(scene, attached, event, host);
    }
  }

  /** The host of a device that an event names without one. */
  #hostOf(device: ProbeDevice | undefined): string {
    if (device === undefined) return '';
    for (const [name, lookup] of this.#world.hosts) if (lookup(device.ifindex) === device) return name;
    return '';
  }

  #enter(scene: TraceScene, { machine, loaded, record }: Attached, event: ProbeEvent, host: string): void {
    const run = machine.acquire();
    try {
      run.ctx = record ? scene.record : scene.args;
      run.packet = event.p;
      run.progType = loaded.spec.type;
      run.attached = { kind: 'trace', host } satisfies TraceRun;
      run.regions = new Regions();
      for (const { at, size } of scene.shown()) run.grant(at, size, false);
      loaded.program.enter(run);
    } catch (error) {
      // The packet path never throws; a verified program does not come here.
      if (!(error instanceof BadAccess)) throw error;
      this.failures.push(error);
    } finally {
      machine.release(run);
    }
  }
}
