/**
 * Programs that one socket carries: filters (SO_ATTACH_FILTER, SO_ATTACH_BPF) and selectors of SO_REUSEPORT groups
 * (SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF). Classic programs are checked as Linux does, translated and
 * verified like any other.
 */
import { checkClassic, decodeClassic, translateClassic } from '../bpf/cbpf/index.ts';
import {
  REUSEPORT_BIND_INANY,
  REUSEPORT_DATA,
  REUSEPORT_DATA_END,
  REUSEPORT_ETH_PROTOCOL,
  REUSEPORT_HASH,
  REUSEPORT_IP_PROTOCOL,
  REUSEPORT_LEN,
  REUSEPORT_SIZE,
  REUSEPORT_SK,
} from '../bpf/progtype/sk-reuseport.ts';
import { fillSkb, flushSkb, SKB, SKB_SIZE } from '../bpf/runtime/ctx.ts';
import type { BpfSystem, LoadedProgram } from '../bpf/system.ts';
import { EAFNOSUPPORT, EBADF, EBADFD, EINVAL, ENOENT, ENOTSUPP, EPROTOTYPE, KernelError } from '../core/errno.ts';
import type { ReuseportGroup, Selection, Selector } from '../transport/endpoint/reuseport.ts';
import type { Sock, SocketFilter } from '../transport/endpoint/sock.ts';
import type { FilterMaker, Sockets } from '../transport/endpoint/sockets.ts';
import { BPF_PROG_TYPE_SK_REUSEPORT, BPF_PROG_TYPE_SOCKET_FILTER } from '../wire/uapi/bpf.ts';
import { BPF_MAXINSNS } from '../wire/uapi/socket.ts';
import type { BpfSocks } from './bpf-sock.ts';
import { ContextBlock } from './bpf-sock-run.ts';

const INSN = 8;
const CB_WORDS = 8;
const SK_PASS = 1;

export class SocketFilters implements FilterMaker {
  readonly #system: BpfSystem;
  readonly #sockets: Sockets;
  readonly #skb: ContextBlock;
  readonly #reuseport: ContextBlock;
  readonly #saved = new Uint32Array(CB_WORDS);
  /** How many sockets use a program. */
  readonly #used = new Map<number, number>();

  constructor(system: BpfSystem, socks: BpfSocks, sockets: Sockets) {
    this.#system = system;
    this.#sockets = sockets;
    this.#skb = new ContextBlock(system.machine, socks, SKB_SIZE);
    this.#reuseport = new ContextBlock(system.machine, socks, REUSEPORT_SIZE);
  }

  /** True when some socket runs the program. */
  uses(id: number): boolean {
    return (this.#used.get(id) ?? 0) > 0;
  }

  #hold(id: number, by: number): void {
    this.#used.set(id, (this.#used.get(id) ?? 0) + by);
  }

  /** `struct sock_filter`s as a loaded program; an errno when they are refused. */
  #translate(bytes: Uint8Array): LoadedProgram | number {
    if (bytes.length === 0 || bytes.length % INSN !== 0 || bytes.length > BPF_MAXINSNS * INSN) return EINVAL;
    const classic = decodeClassic(bytes);
    if (checkClassic(classic) !== 0) return EINVAL;
    const translated = translateClassic(classic);
    if (!translated.ok) return ENOTSUPP;
    try {
      return this.#system.loadProgram(
        {
          name: 'filter',
          section: '',
          type: BPF_PROG_TYPE_SOCKET_FILTER,
          expectedAttachType: 0,
          flags: 0,
          license: 'GPL',
          insns: translated.insns,
          maps: [],
        },
        [],
      );
    } catch (error) {
      if (error instanceof KernelError) return error.errno;
      throw error;
    }
  }

  #byId(id: number, types: readonly number[]): LoadedProgram | number {
    const loaded = this.#system.programs.get(id);
    if (loaded === undefined) return EBADF;
    return types.includes(loaded.spec.type) ? loaded : EINVAL;
  }

  classic(sk: Sock, program: Uint8Array): number {
    const loaded = this.#translate(program);
    return typeof loaded === 'number' ? loaded : this.#setFilter(sk, loaded, true);
  }

  program(sk: Sock, id: number): number {
    const loaded = this.#byId(id, [BPF_PROG_TYPE_SOCKET_FILTER]);
    return typeof loaded === 'number' ? loaded : this.#setFilter(sk, loaded, false);
  }

  #release(loaded: LoadedProgram, own: boolean): void {
    this.#hold(loaded.id, -1);
    if (own) this.#system.unloadProgram(loaded.id);
  }

  #setFilter(sk: Sock, loaded: LoadedProgram, own: boolean): number {
    sk.filter?.release();
    this.#hold(loaded.id, 1);
    const filter: SocketFilter = {
      run: (p) => this.#runFilter(loaded, sk, p),
      release: () => this.#release(loaded, own),
    };
    sk.filter = filter;
    return 0;
  }

  /** bpf_prog_run_save_cb: what the network layer keeps in the packet's control block stays its own. */
  #runFilter(loaded: LoadedProgram, sk: Sock, p: number): number {
    const { slab } = this.#system.machine;
    for (let i = 0; i < CB_WORDS; i++) {
      this.#saved[i] = slab.cb(p, i);
      slab.setCb(p, i, 0);
    }
    const keep = this.#skb.enter(
      loaded,
      p,
      { kind: 'socket', sk },
      (run) => {
        run.ifindex = slab.iif(p);
        fillSkb(run);
        run.dv.setUint32(run.ctx + SKB.sk, this.#skb.show(run, sk), true);
      },
      flushSkb,
    );
    for (let i = 0; i < CB_WORDS; i++) slab.setCb(p, i, this.#saved[i]);
    return keep >>> 0;
  }

  reuseportClassic(sk: Sock, program: Uint8Array): number {
    if (!sk.reuseport) return EINVAL;
    const loaded = this.#translate(program);
    return typeof loaded === 'number' ? loaded : this.#setSelector(sk, loaded, true);
  }

  reuseportProgram(sk: Sock, id: number): number {
    if (!sk.reuseport) return EINVAL;
    const loaded = this.#byId(id, [BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_SK_REUSEPORT]);
    return typeof loaded === 'number' ? loaded : this.#setSelector(sk, loaded, false);
  }

  #setSelector(sk: Sock, loaded: LoadedProgram, own: boolean): number {
    const group = this.#sockets.groupOf(sk);
    if (group === undefined) return EINVAL;
    this.#hold(loaded.id, 1);
    const chooses = loaded.spec.type === BPF_PROG_TYPE_SK_REUSEPORT;
    const selector: Selector = {
      select: (g, p, hash, first) =>
        chooses ? this.#choose(loaded, g, p, hash, first) : this.#index(loaded, g, p, first),
      release: () => this.#release(loaded, own),
    };
    group.setSelector(selector);
    return 0;
  }

  /** A filter answers with the number of a member; it sees the payload. */
  #index(loaded: LoadedProgram, group: ReuseportGroup, p: number, sk: Sock): Selection {
    const { slab } = this.#system.machine;
    const header = slab.transport(p) + sk.proto.header - slab.head(p);
    if (!slab.pull(p, header)) return undefined;
    const index = this.#runFilter(loaded, sk, p);
    slab.push(p, header);
    return group.socks[index];
  }

  #choose(loaded: LoadedProgram, group: ReuseportGroup, p: number, hash: number, sk: Sock): Selection {
    const { slab } = this.#system.machine;
    const block = this.#reuseport;
    const header = slab.transport(p) - slab.head(p);
    slab.pull(p, header);
    let chosen: Sock | undefined;
    const choose = (member: Sock | undefined): number => {
      if (member === undefined) return -ENOENT;
      if (member.group !== group) {
        if (member.group === undefined) return -ENOENT;
        if (member.proto !== sk.proto) return -EPROTOTYPE;
        if (member.family !== sk.family) return -EAFNOSUPPORT;
        return -EBADFD;
      }
      chosen = member;
      return 0;
    };
    const verdict = block.enter(loaded, p, { kind: 'socket', sk, choose }, (run) => {
      const { dv } = run;
      block.clear();
      block.pointer(REUSEPORT_DATA, slab.head(p));
      block.pointer(REUSEPORT_DATA_END, slab.end(p));
      dv.setUint32(run.ctx + REUSEPORT_LEN, slab.len(p), true);
      dv.setUint16(run.ctx + REUSEPORT_ETH_PROTOCOL, slab.protocol(p));
      dv.setUint32(run.ctx + REUSEPORT_IP_PROTOCOL, sk.protocol, true);
      dv.setUint32(run.ctx + REUSEPORT_BIND_INANY, group.any ? 1 : 0, true);
      dv.setUint32(run.ctx + REUSEPORT_HASH, hash, true);
      block.pointer(REUSEPORT_SK, block.show(run, sk));
    });
    slab.push(p, header);
    return verdict === SK_PASS ? chosen : 'drop';
  }
}
