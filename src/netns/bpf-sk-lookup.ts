/**
 * sk_lookup programs of a network namespace (Documentation/bpf/prog_sk_lookup.rst): they choose the socket for a packet
 * that no socket is connected or bound to by address. The last choice of several programs counts; one that drops and no
 * choice make the look-up fail.
 */
import {
  SK_LOOKUP_FAMILY,
  SK_LOOKUP_INGRESS_IFINDEX,
  SK_LOOKUP_LOCAL_IP4,
  SK_LOOKUP_LOCAL_IP6,
  SK_LOOKUP_LOCAL_PORT,
  SK_LOOKUP_PROTOCOL,
  SK_LOOKUP_REMOTE_IP4,
  SK_LOOKUP_REMOTE_IP6,
  SK_LOOKUP_REMOTE_PORT,
  SK_LOOKUP_SIZE,
  SK_LOOKUP_SK,
} from '../bpf/progtype/sk-lookup.ts';
import type { Machine } from '../bpf/runtime/machine.ts';
import type { LoadedProgram } from '../bpf/system.ts';
import { EAFNOSUPPORT, EEXIST, EINVAL, EPROTOTYPE, ESOCKTNOSUPPORT, KernelError } from '../core/errno.ts';
import type { Demux, Query } from '../transport/endpoint/demux.ts';
import type { Protocol } from '../transport/endpoint/protocol.ts';
import type { Selection } from '../transport/endpoint/reuseport.ts';
import type { Sock } from '../transport/endpoint/sock.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import { BPF_PROG_TYPE_SK_LOOKUP } from '../wire/uapi/bpf.ts';
import { TCP_ESTABLISHED } from '../wire/uapi/socket.ts';
import type { BpfSocks } from './bpf-sock.ts';
import { ContextBlock } from './bpf-sock-run.ts';

const BPF_SK_LOOKUP_F_REPLACE = 1;
const BPF_SK_LOOKUP_F_NO_REUSEPORT = 2;
const SK_PASS = 1;

export class SkLookup {
  readonly #block: ContextBlock;
  readonly #demux: Demux;
  readonly #programs: LoadedProgram[] = [];

  constructor(machine: Machine, socks: BpfSocks, demux: Demux) {
    this.#block = new ContextBlock(machine, socks, SK_LOOKUP_SIZE);
    this.#demux = demux;
  }

  attach(loaded: LoadedProgram): () => void {
    if (loaded.spec.type !== BPF_PROG_TYPE_SK_LOOKUP) throw new KernelError(EINVAL, 'not a sk_lookup program');
    this.#programs.push(loaded);
    this.#demux.programs = (proto, query): Selection => this.#lookup(proto, query);
    return () => {
      this.#programs.splice(this.#programs.indexOf(loaded), 1);
      if (this.#programs.length === 0) this.#demux.programs = undefined;
    };
  }

  #fill(proto: Protocol, q: Query): void {
    const { at, machine } = this.#block;
    const { dv } = machine.slab;
    this.#block.clear();
    dv.setUint32(at + SK_LOOKUP_FAMILY, q.family, true);
    dv.setUint32(at + SK_LOOKUP_PROTOCOL, proto.key, true);
    if (q.family === AF_INET) {
      dv.setUint32(at + SK_LOOKUP_REMOTE_IP4, q.remote[3]);
      dv.setUint32(at + SK_LOOKUP_LOCAL_IP4, q.local[3]);
    } else
      for (let i = 0; i < 4; i++) {
        dv.setUint32(at + SK_LOOKUP_REMOTE_IP6 + i * 4, q.remote[i]);
        dv.setUint32(at + SK_LOOKUP_LOCAL_IP6 + i * 4, q.local[i]);
      }
    dv.setUint16(at + SK_LOOKUP_REMOTE_PORT, q.rport);
    dv.setUint32(at + SK_LOOKUP_LOCAL_PORT, q.lport, true);
    dv.setUint32(at + SK_LOOKUP_INGRESS_IFINDEX, q.ifindex, true);
  }

  /** bpf_sk_assign in a look-up. */
  #refuses(proto: Protocol, q: Query, sk: Sock): number {
    if (sk.state === TCP_ESTABLISHED) return -ESOCKTNOSUPPORT;
    if (sk.proto !== proto) return -EPROTOTYPE;
    const fits = q.family === AF_INET ? sk.family === AF_INET || !sk.ipv6only : sk.family === AF_INET6;
    return fits ? 0 : -EAFNOSUPPORT;
  }

  #lookup(proto: Protocol, q: Query): Selection {
    const block = this.#block;
    this.#fill(proto, q);
    let chosen: Sock | undefined;
    let whole = false;
    let dropped = false;
    for (const loaded of this.#programs) {
      let mine: Sock | undefined;
      let alone = false;
      block.pointer(SK_LOOKUP_SK, 0);
      const choose = (sk: Sock | undefined, flags: number): number => {
        if ((flags & ~(BPF_SK_LOOKUP_F_REPLACE | BPF_SK_LOOKUP_F_NO_REUSEPORT)) !== 0) return -EINVAL;
        const refused = sk === undefined ? 0 : this.#refuses(proto, q, sk);
        if (refused !== 0) return refused;
        if (mine !== undefined && (flags & BPF_SK_LOOKUP_F_REPLACE) === 0) return -EEXIST;
        mine = sk;
        alone = (flags & BPF_SK_LOOKUP_F_NO_REUSEPORT) !== 0;
        block.pointer(SK_LOOKUP_SK, sk === undefined ? 0 : block.socks.address(sk));
        return 0;
      };
      const verdict = block.enter(loaded, -1, { kind: 'socket', sk: undefined, choose });
      if (verdict !== SK_PASS) dropped = true;
      else if (mine !== undefined) {
        chosen = mine;
        whole = alone;
      }
    }
    if (chosen === undefined) return dropped ? 'drop' : undefined;
    return whole ? chosen : this.#demux.member(chosen, q);
  }
}
