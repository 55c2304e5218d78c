/**
 * Programs of the host's cgroup at system calls of sockets: cgroup_sock (socket, bind, close) and cgroup_sock_addr
 * (bind, connect, sendmsg, recvmsg, getpeername, getsockname). All attached ones run; one that says no refuses the call
 * with EPERM, or with what it set by bpf_set_retval.
 */
import { SOCK_BOUND_DEV_IF, SOCK_MARK, SOCK_PRIORITY, SOCK_SIZE } from '../bpf/progtype/sock.ts';
import {
  SOCK_ADDR_FAMILY,
  SOCK_ADDR_MSG_SRC_IP4,
  SOCK_ADDR_MSG_SRC_IP6,
  SOCK_ADDR_PROTOCOL,
  SOCK_ADDR_SIZE,
  SOCK_ADDR_SK,
  SOCK_ADDR_TYPE,
  SOCK_ADDR_USER_FAMILY,
  SOCK_ADDR_USER_IP4,
  SOCK_ADDR_USER_IP6,
  SOCK_ADDR_USER_PORT,
} from '../bpf/progtype/sock-addr.ts';
import type { Machine } from '../bpf/runtime/machine.ts';
import type { LoadedProgram } from '../bpf/system.ts';
import { EEXIST, EINVAL, EPERM, KernelError } from '../core/errno.ts';
import type { AddressCall, SocketPrograms } from '../transport/endpoint/programs.ts';
import type { Sock } from '../transport/endpoint/sock.ts';
import { AF_INET } from '../wire/address.ts';
import * as u from '../wire/uapi/bpf.ts';
import type { BpfSocks } from './bpf-sock.ts';
import { ContextBlock } from './bpf-sock-run.ts';

const SOCK_TYPES: readonly number[] = [
  u.BPF_CGROUP_INET_SOCK_CREATE,
  u.BPF_CGROUP_INET_SOCK_RELEASE,
  u.BPF_CGROUP_INET4_POST_BIND,
  u.BPF_CGROUP_INET6_POST_BIND,
];

/** Attach types by call: IPv4, IPv6. */
const ADDRESS_TYPES: Readonly<Record<AddressCall['kind'], readonly [number, number]>> = {
  bind: [u.BPF_CGROUP_INET4_BIND, u.BPF_CGROUP_INET6_BIND],
  connect: [u.BPF_CGROUP_INET4_CONNECT, u.BPF_CGROUP_INET6_CONNECT],
  sendmsg: [u.BPF_CGROUP_UDP4_SENDMSG, u.BPF_CGROUP_UDP6_SENDMSG],
  recvmsg: [u.BPF_CGROUP_UDP4_RECVMSG, u.BPF_CGROUP_UDP6_RECVMSG],
  getpeername: [u.BPF_CGROUP_INET4_GETPEERNAME, u.BPF_CGROUP_INET6_GETPEERNAME],
  getsockname: [u.BPF_CGROUP_INET4_GETSOCKNAME, u.BPF_CGROUP_INET6_GETSOCKNAME],
};

/** All attach types of these programs. */
export const CGROUP_SOCKET_ATTACH: readonly number[] = [...SOCK_TYPES, ...Object.values(ADDRESS_TYPES).flat()];

export class SocketCgroup {
  readonly #programs = new Map<number, LoadedProgram[]>();
  readonly #sock: ContextBlock;
  readonly #addr: ContextBlock;
  readonly #hooks: SocketPrograms;

  constructor(machine: Machine, socks: BpfSocks, hooks: SocketPrograms) {
    this.#sock = new ContextBlock(machine, socks, SOCK_SIZE);
    this.#addr = new ContextBlock(machine, socks, SOCK_ADDR_SIZE);
    this.#hooks = hooks;
  }

  attach(loaded: LoadedProgram, attachType: number): () => void {
    const wanted = SOCK_TYPES.includes(attachType) ? u.BPF_PROG_TYPE_CGROUP_SOCK : u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
    if (loaded.spec.type !== wanted || loaded.spec.expectedAttachType !== attachType)
      throw new KernelError(EINVAL, 'the program was loaded for another place');
    const list = this.#programs.get(attachType) ?? [];
    if (list.includes(loaded)) throw new KernelError(EEXIST, 'the program is attached already');
    list.push(loaded);
    this.#programs.set(attachType, list);
    this.#refresh();
    return () => {
      const at = list.indexOf(loaded);
      if (at >= 0) list.splice(at, 1);
      this.#refresh();
    };
  }

  #has(...types: readonly number[]): boolean {
    return types.some((t) => (this.#programs.get(t)?.length ?? 0) > 0);
  }

  #refresh(): void {
    const hooks = this.#hooks;
    const on = <T>(types: readonly number[], hook: T): T | undefined => (this.#has(...types) ? hook : undefined);
    hooks.create = on([u.BPF_CGROUP_INET_SOCK_CREATE], (sk: Sock) => this.#runSock(u.BPF_CGROUP_INET_SOCK_CREATE, sk));
    hooks.release = on([u.BPF_CGROUP_INET_SOCK_RELEASE], (sk: Sock): void => {
      this.#runSock(u.BPF_CGROUP_INET_SOCK_RELEASE, sk);
    });
    hooks.postBind = on([u.BPF_CGROUP_INET4_POST_BIND, u.BPF_CGROUP_INET6_POST_BIND], (sk: Sock) =>
      this.#runSock(sk.family === AF_INET ? u.BPF_CGROUP_INET4_POST_BIND : u.BPF_CGROUP_INET6_POST_BIND, sk),
    );
    hooks.address = on(Object.values(ADDRESS_TYPES).flat(), (call: AddressCall) => this.#runAddress(call));
  }

  #runSock(attachType: number, sk: Sock): number {
    const block = this.#sock;
    const { dv } = block.machine.slab;
    const { at } = block;
    block.socks.fill(at, sk);
    let answer = 0;
    for (const loaded of this.#programs.get(attachType) ?? []) {
      let retval = 0;
      const allowed = block.enter(loaded, -1, { kind: 'socket', sk }, undefined, (run) => {
        retval = run.retval;
      });
      if ((allowed & 1) === 0) answer = retval === 0 ? -EPERM : retval;
    }
    sk.boundDevIf = dv.getUint32(at + SOCK_BOUND_DEV_IF, true);
    sk.mark = dv.getUint32(at + SOCK_MARK, true);
    sk.priority = dv.getUint32(at + SOCK_PRIORITY, true);
    return answer;
  }

  #runAddress(call: AddressCall): number {
    const v4 = call.family === AF_INET;
    const list = this.#programs.get(ADDRESS_TYPES[call.kind][v4 ? 0 : 1]) ?? [];
    if (list.length === 0) return 0;
    const block = this.#addr;
    const { dv } = block.machine.slab;
    const { at } = block;
    const { sk, address, source } = call;
    block.clear();
    dv.setUint32(at + SOCK_ADDR_USER_FAMILY, call.family, true);
    dv.setUint32(at + SOCK_ADDR_FAMILY, sk.family, true);
    dv.setUint32(at + SOCK_ADDR_TYPE, sk.type, true);
    dv.setUint32(at + SOCK_ADDR_PROTOCOL, sk.protocol, true);
    dv.setUint16(at + SOCK_ADDR_USER_PORT, call.port);
    const put = (words: Uint32Array, four: number, six: number): void => {
      if (v4) dv.setUint32(at + four, words[3]);
      else for (let i = 0; i < 4; i++) dv.setUint32(at + six + i * 4, words[i]);
    };
    const take = (words: Uint32Array, four: number, six: number): void => {
      if (v4) words[3] = dv.getUint32(at + four);
      else for (let i = 0; i < 4; i++) words[i] = dv.getUint32(at + six + i * 4);
    };
    put(address, SOCK_ADDR_USER_IP4, SOCK_ADDR_USER_IP6);
    if (source !== undefined) put(source, SOCK_ADDR_MSG_SRC_IP4, SOCK_ADDR_MSG_SRC_IP6);
    let answer = 0;
    for (const loaded of list) {
      let retval = 0;
      const allowed = block.enter(
        loaded,
        -1,
        { kind: 'socket', sk },
        (run) => block.pointer(SOCK_ADDR_SK, block.show(run, sk)),
        (run) => {
          retval = run.retval;
        },
      );
      if ((allowed & 1) === 0) answer = retval === 0 ? -EPERM : retval;
    }
    take(address, SOCK_ADDR_USER_IP4, SOCK_ADDR_USER_IP6);
    if (source !== undefined) take(source, SOCK_ADDR_MSG_SRC_IP4, SOCK_ADDR_MSG_SRC_IP6);
    call.port = dv.getUint16(at + SOCK_ADDR_USER_PORT);
    return answer;
  }
}
