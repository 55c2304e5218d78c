import { describe, expect, it } from 'vitest';
import * as u from '../../wire/uapi/bpf.ts';
import { SKB } from '../../wire/uapi/bpf-context.ts';
import {
  PTR_TO_FLOW_KEYS,
  PTR_TO_PACKET_END,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
} from '../verifier/reg.ts';
import {
  attachTypeFits,
  checkContextAccess,
  checkLoad,
  checkObjectAccess,
  contextFits,
  contextLayout,
  helperAvailable,
  helperGplOnly,
  returnRange,
  sectionNames,
  sectionToType,
} from './index.ts';

describe('context access', () => {
  it('gives a packet pointer for data_end, and only for the whole field', () => {
    const type = u.BPF_PROG_TYPE_SCHED_CLS;
    expect(checkContextAccess(type, 0, 'root', 'read', SKB.dataEnd, 4)?.regType).toBe(PTR_TO_PACKET_END);
    expect(checkContextAccess(type, 0, 'root', 'read', SKB.dataEnd, 2)).toBeUndefined();
    expect(checkContextAccess(type, 0, 'root', 'write', SKB.dataEnd, 4)).toBeUndefined();
  });

  it('shows the leaving device only to XDP programs in a device map', () => {
    expect(checkContextAccess(u.BPF_PROG_TYPE_XDP, u.BPF_XDP, 'root', 'read', 20, 4)).toBeUndefined();
    expect(checkContextAccess(u.BPF_PROG_TYPE_XDP, u.BPF_XDP_DEVMAP, 'root', 'read', 20, 4)).toBeDefined();
  });

  it('does not reach outside the struct', () => {
    for (let type = 0; type < 40; type++) {
      // Checked when the program is attached.
      if (type === u.BPF_PROG_TYPE_TRACEPOINT) continue;
      const size = contextLayout(type)?.size ?? 0;
      for (const width of [1, 2, 4, 8]) {
        for (const offset of [-8, -4, -1, size - width + 1, size, size + 8]) {
          expect(checkContextAccess(type, 0, 'root', 'read', offset, width)).toBeUndefined();
          expect(checkContextAccess(type, 0, 'root', 'write', offset, width)).toBeUndefined();
        }
      }
    }
  });

  it('of unknown size must fit when the program is attached', () => {
    expect(checkContextAccess(u.BPF_PROG_TYPE_TRACEPOINT, 0, 'root', 'read', 8000, 8)).toBeDefined();
    expect(contextFits([8, 9, 10, 11], 12)).toBe(true);
    expect(contextFits([8, 12], 12)).toBe(false);
    expect(contextFits([-1], 12)).toBe(false);
  });

  it('has fields that lie in order, inside the struct, without overlap', () => {
    for (let type = 1; type <= u.BPF_PROG_TYPE_NETFILTER; type++) {
      let end = Number.NEGATIVE_INFINITY;
      for (const field of contextLayout(type)?.fields ?? []) {
        expect(field.offset).toBeGreaterThanOrEqual(end);
        end = field.offset + field.size;
      }
      expect(end).toBeLessThanOrEqual(contextLayout(type)?.size ?? 0);
    }
  });
});

/** Offsets below 130 that may be loaded with `size`. */
const loads = (regType: number, size: number): number[] =>
  Array.from({ length: 140 }, (_, i) => i - 8).filter((offset) => checkObjectAccess(regType, 'read', offset, size));

describe('access to kernel objects', () => {
  it('leaves out of a sock_common what only a full socket has', () => {
    const full = loads(PTR_TO_SOCKET, 4);
    expect(full).toEqual([0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 76]);
    expect(loads(PTR_TO_SOCK_COMMON, 4)).toEqual(full.filter((offset) => offset < 8 || offset > 20));
    expect(loads(PTR_TO_SOCK_COMMON, 1).slice(0, 3)).toEqual([4, 24, 25]);
    expect(loads(PTR_TO_SOCKET, 2).filter((offset) => offset >= 44 && offset < 54)).toEqual([44, 48, 52]);
  });

  it('reads whole fields of a TCP socket', () => {
    expect(loads(PTR_TO_TCP_SOCK, 8)).toEqual([80, 88]);
    expect(loads(PTR_TO_TCP_SOCK, 4)).toHaveLength(24);
    expect(loads(PTR_TO_TCP_SOCK, 2)).toEqual([]);
  });

  it('writes nothing but flow keys', () => {
    expect(checkObjectAccess(PTR_TO_SOCKET, 'write', 16, 4)).toBe(false);
    expect(checkObjectAccess(PTR_TO_FLOW_KEYS, 'write', 53, 2)).toBe(true);
    expect(checkObjectAccess(PTR_TO_FLOW_KEYS, 'write', 53, 4)).toBe(false);
  });
});

describe('helpers', () => {
  it('has skb_store_bytes for tc and not for XDP', () => {
    const id = u.HELPER_NAMES.indexOf('skb_store_bytes');
    expect(helperAvailable(u.BPF_PROG_TYPE_SCHED_CLS, 0, 'root', id)).toBe(true);
    expect(helperAvailable(u.BPF_PROG_TYPE_XDP, 0, 'root', id)).toBe(false);
  });

  it('prints only for somebody with CAP_PERFMON and a GPL-compatible licence', () => {
    const id = u.HELPER_NAMES.indexOf('trace_printk');
    expect(helperAvailable(u.BPF_PROG_TYPE_XDP, 0, 'root', id)).toBe(true);
    expect(helperAvailable(u.BPF_PROG_TYPE_XDP, 0, 'netadmin', id)).toBe(false);
    expect(helperGplOnly(id, u.BPF_PROG_TYPE_XDP, 0)).toBe(true);
  });
});

describe('loading', () => {
  it('refuses an attach type of another program type', () => {
    expect(attachTypeFits(u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 0)).toBe(false);
    expect(attachTypeFits(u.BPF_PROG_TYPE_CGROUP_SOCK, 0)).toBe(true);
    expect(checkLoad(u.BPF_PROG_TYPE_SK_LOOKUP, 0, 0, 'root')).toEqual({ errno: 22, message: '' });
    expect(checkLoad(u.BPF_PROG_TYPE_XDP, 0, 0, 'root')).toBeUndefined();
  });

  it('lets the unprivileged load socket filters and cgroup_skb only', () => {
    const may = u.PROG_TYPE_NAMES.filter((_, type) => checkLoad(type, 0, 0, 'unpriv') === undefined);
    expect(may).toEqual(['socket_filter', 'cgroup_skb']);
  });

  it('knows which programs may sleep', () => {
    expect(checkLoad(u.BPF_PROG_TYPE_SYSCALL, 0, 0, 'root')?.message).toBe('Syscall programs can only be sleepable');
    expect(checkLoad(u.BPF_PROG_TYPE_SYSCALL, 0, u.BPF_F_SLEEPABLE, 'root')).toBeUndefined();
    expect(checkLoad(u.BPF_PROG_TYPE_XDP, 0, u.BPF_F_SLEEPABLE, 'root')?.errno).toBe(22);
  });

  it('knows the results that a program may give', () => {
    expect(returnRange(u.BPF_PROG_TYPE_CGROUP_SKB, u.BPF_CGROUP_INET_EGRESS)).toEqual({ min: 0, max: 3 });
    expect(returnRange(u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_UDP4_RECVMSG)).toEqual({ min: 1, max: 1 });
    expect(returnRange(u.BPF_PROG_TYPE_XDP, 0)).toBeUndefined();
  });
});

describe('section names', () => {
  it('stand for a type and attach type that fit together', () => {
    for (const name of sectionNames()) {
      const section = sectionToType(name);
      expect([name, section && attachTypeFits(section.type, section.expectedAttachType)]).toEqual([name, true]);
    }
  });

  it('carry the point to attach to behind a slash', () => {
    expect(sectionToType('tp/skb/kfree_skb')).toMatchObject({
      type: u.BPF_PROG_TYPE_TRACEPOINT,
      target: 'skb/kfree_skb',
    });
    expect(sectionToType('fentry.s/f')).toMatchObject({ flags: u.BPF_F_SLEEPABLE, target: 'f' });
    expect(sectionToType('xdp.frags')).toMatchObject({ type: u.BPF_PROG_TYPE_XDP, flags: u.BPF_F_XDP_HAS_FRAGS });
    expect(sectionToType('xdp/eth0')).toBeUndefined();
    expect(sectionToType('kprobes')).toBeUndefined();
  });
});
