import { describe, expect, it } from 'vitest';
import {
  BPF_PROG_TYPE_CGROUP_SKB,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_XDP,
} from '../../../wire/uapi/bpf.ts';
import { assemble } from '../../asm/assemble.ts';
import { KFUNCS } from '../kfunc-table.ts';
import { verify } from '../verify.ts';

const NAMES = [...KFUNCS.keys()];

/** The verifier's message for a program, '' when it is accepted. Kernel functions are called by name. */
function message(type: number, text: string, license = 'GPL'): string {
  const { insns, errors } = assemble(`${text}\nr0 = 0\nexit`, { kfunc: (name) => NAMES.indexOf(name) + 1 });
  expect(errors.map((e) => e.message)).toEqual([]);
  const kfuncs = new Map(NAMES.map((name, i) => [i + 1, name]));
  const spec = { name: 't', section: '', type, expectedAttachType: 0, flags: 0, license, insns, maps: [], kfuncs };
  return verify(spec).message;
}

const XDP = BPF_PROG_TYPE_XDP;
const TC = BPF_PROG_TYPE_SCHED_CLS;
const FROM_XDP = 'r2 = 0; r3 = r10; r3 += -16; call bpf_dynptr_from_xdp';
const FROM_SKB = 'r2 = 0; r3 = r10; r3 += -16; call bpf_dynptr_from_skb';
const slice = (name: string): string =>
  `r1 = r10; r1 += -16; r2 = 0; r3 = r10; r3 += -40; r4 = 8; call ${name}; if r0 == 0 goto out`;
const NEW = 'r1 = r10; r1 += -8; r2 = 0; r3 = 10; call bpf_iter_num_new';
const NEXT = 'r1 = r10; r1 += -8; call bpf_iter_num_next';
const DESTROY = 'r1 = r10; r1 += -8; call bpf_iter_num_destroy';
const ct = (name: string, size = 12): string =>
  `r2 = r10; r2 += -64; r3 = ${size}; r4 = r10; r4 += -32; r5 = 12; call ${name}`;
const RELEASE = 'if r0 == 0 goto out; r1 = r0; call bpf_ct_release; out:';
const LEAK = 'BPF_EXIT instruction in main prog would lead to reference leak';

// Messages are those of Linux 6.18.44 for the same programs.
const CASES: Record<string, readonly (readonly [type: number, text: string, message: string])[]> = {
  'a packet dynptr is made only in programs that see such a packet': [
    [XDP, FROM_XDP, ''],
    [TC, FROM_XDP, 'calling kernel function bpf_dynptr_from_xdp is not allowed'],
    [XDP, FROM_SKB, 'calling kernel function bpf_dynptr_from_skb is not allowed'],
    [TC, `r1 = 0; ${FROM_SKB}`, 'Possibly NULL pointer passed to trusted arg0'],
    [TC, `r1 = r10; ${FROM_SKB}`, 'arg#0 expected pointer to ctx, but got fp'],
    [TC, 'r2 = r10; r3 = r10; r3 += -16; call bpf_dynptr_from_skb', 'R2 is not a scalar'],
  ],
  'a slice is as long as its constant says, and checked for NULL': [
    [XDP, `${FROM_XDP}; ${slice('bpf_dynptr_slice')}; r1 = *(u64 *)(r0 + 0); out:`, ''],
    [
      XDP,
      `${FROM_XDP}; ${slice('bpf_dynptr_slice')}; r1 = *(u64 *)(r0 + 1); out:`,
      'R0 min value is outside of the allowed memory range',
    ],
    [XDP, `${slice('bpf_dynptr_slice')}; out:`, 'Expected an initialized dynptr as arg #0'],
    [
      XDP,
      `${FROM_XDP}; r4 = r0; r1 = r10; r1 += -16; r2 = 0; r3 = 0; call bpf_dynptr_slice`,
      'R4 must be a known constant',
    ],
    [XDP, `${FROM_XDP}; ${slice('bpf_dynptr_slice')}; *(u64 *)(r0 + 0) = 1; out:`, 'R0 cannot write into rdonly_mem'],
    [XDP, `${FROM_XDP}; ${slice('bpf_dynptr_slice_rdwr')}; *(u64 *)(r0 + 0) = 1; out:`, ''],
    [
      BPF_PROG_TYPE_CGROUP_SKB,
      `${FROM_SKB}; ${slice('bpf_dynptr_slice_rdwr')}; out:`,
      'the prog does not allow writes to packet data',
    ],
  ],
  'a slice is gone when the packet changes': [
    [
      XDP,
      `r6 = r1; ${FROM_XDP}; ${slice('bpf_dynptr_slice')}; r7 = r0; r1 = r6; r2 = 0; call 44; r1 = *(u64 *)(r7 + 0); out:`,
      "R7 invalid mem access 'scalar'",
    ],
  ],
  'a number iterator is made, asked and destroyed': [
    [XDP, `${NEW}; again: ${NEXT}; if r0 == 0 goto done; r1 = *(u32 *)(r0 + 0); goto again; done: ${DESTROY}`, ''],
    [XDP, NEW, LEAK],
    [XDP, NEXT, 'expected an initialized iter_num as arg #0'],
    [XDP, `${NEW}; ${NEW}`, 'expected uninitialized iter_num as arg #0'],
    [
      XDP,
      `${NEW}; ${NEXT}; if r0 == 0 goto done; *(u32 *)(r0 + 0) = 1; done: ${DESTROY}`,
      'R0 cannot write into rdonly_mem',
    ],
    [XDP, `${NEW}; *(u64 *)(r10 - 8) = 0; ${DESTROY}`, 'expected an initialized iter_num as arg #0'],
    [XDP, `${NEW}; r1 = *(u64 *)(r10 - 8); ${DESTROY}`, 'invalid read from stack off -8+0 size 8'],
    [XDP, 'r1 = r10; r1 += -4; r2 = 0; r3 = 10; call bpf_iter_num_new', 'expected uninitialized iter_num as arg #0'],
  ],
  'sections are left as often as they are entered': [
    [XDP, 'call bpf_rcu_read_lock; call bpf_rcu_read_unlock', ''],
    [XDP, 'call bpf_rcu_read_unlock', 'unmatched rcu read unlock (kernel function bpf_rcu_read_unlock)'],
    [
      XDP,
      'call bpf_rcu_read_lock',
      'BPF_EXIT instruction in main prog cannot be used inside bpf_rcu_read_lock-ed region',
    ],
    [XDP, 'call bpf_rcu_read_lock; call bpf_rcu_read_lock', 'nested rcu read lock (kernel function bpf_rcu_read_lock)'],
    [
      XDP,
      'call bpf_preempt_disable',
      'BPF_EXIT instruction in main prog cannot be used inside bpf_preempt_disable-ed region',
    ],
    [XDP, 'call bpf_preempt_enable', 'unmatched attempt to enable preemption (kernel function bpf_preempt_enable)'],
  ],
  'a connection that was looked up is released once': [
    [XDP, `${ct('bpf_xdp_ct_lookup')}; ${RELEASE}`, ''],
    [XDP, ct('bpf_xdp_ct_lookup'), LEAK],
    [XDP, `${ct('bpf_xdp_ct_lookup')}; r1 = r0; call bpf_ct_release`, 'Possibly NULL pointer passed to trusted arg0'],
    [
      XDP,
      `${ct('bpf_xdp_ct_lookup')}; if r0 == 0 goto out; r6 = r0; r1 = r0; call bpf_ct_release; r1 = r6; call bpf_ct_release; out:`,
      'arg#0 pointer type STRUCT nf_conn must point to scalar, or struct with scalar',
    ],
    [
      XDP,
      `${ct('bpf_xdp_ct_alloc')}; ${RELEASE}`,
      'kernel function bpf_ct_release args#0 expected pointer to STRUCT nf_conn but R1 has a pointer to STRUCT nf_conn___init',
    ],
    [XDP, `${ct('bpf_xdp_ct_alloc')}; if r0 == 0 goto out; r1 = r0; call bpf_ct_insert_entry; ${RELEASE}`, ''],
    [XDP, ct('bpf_xdp_ct_lookup', 100), 'arg#1 arg#2 memory, len pair leads to invalid memory access'],
    [XDP, ct('bpf_skb_ct_lookup'), 'arg#0 pointer type STRUCT __sk_buff must point to scalar, or struct with scalar'],
    [TC, ct('bpf_xdp_ct_lookup'), 'R1 type=ctx expected=fp'],
    [BPF_PROG_TYPE_SCHED_ACT, ct('bpf_skb_ct_lookup'), 'calling kernel function bpf_skb_ct_lookup is not allowed'],
  ],
  'metadata of received frames is for programs bound to a device': [
    [XDP, 'r2 = r10; r2 += -8; call bpf_xdp_metadata_rx_timestamp', 'metadata kfuncs require device-bound program'],
  ],
};

describe('kernel functions', () => {
  for (const [name, cases] of Object.entries(CASES))
    it(name, () => {
      for (const [type, text, expected] of cases) expect([text, message(type, text)]).toEqual([text, expected]);
    });

  it('are for GPL-compatible programs', () => {
    expect(message(XDP, FROM_XDP, 'MIT')).toBe('cannot call kernel function from non-GPL compatible program');
  });
});
