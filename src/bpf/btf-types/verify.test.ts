import { describe, expect, it } from 'vitest';
import * as u from '../../wire/uapi/bpf.ts';
import type { Insn } from '../insn.ts';
import { type Verdict, verify } from '../verifier/verify.ts';
import { offsetOf } from './index.ts';

const insn = (code: number, dst = 0, src = 0, off = 0, imm = 0): Insn => ({ code, dst, src, off, imm });
const EXIT = [insn(0xb7), insn(0x95)];

function load(target: string, attach: number, body: readonly Insn[]): Verdict {
  const type = u.BPF_PROG_TYPE_TRACING;
  return verify({
    ...{ name: 't', section: '', type, expectedAttachType: attach, flags: 0, license: 'GPL', maps: [], target },
    insns: [...body, ...EXIT],
  });
}

const skb = insn(0x79, 2, 1, 0);
const dev = insn(0x79, 3, 2, offsetOf('sk_buff', 'dev'));
const ifindex = insn(0x61, 4, 3, offsetOf('net_device', 'ifindex'));

describe('a tracing program', () => {
  it('follows the pointers of its arguments, and loads through found ones give zero at worst', () => {
    const verdict = load('kfree_skb', u.BPF_TRACE_RAW_TP, [skb, dev, ifindex]);
    expect(verdict.message).toBe('');
    expect(verdict.insns.map((i) => i.mayFault)).toEqual([false, false, true, false, false]);
    expect([...verdict.ctxRead]).toEqual([0]);
  });

  it('must ask whether an argument that may be NULL is', () => {
    const sk = insn(0x79, 2, 1, 24);
    const family = insn(0x69, 3, 2, offsetOf('sock', '__sk_common.skc_family'));
    expect(load('kfree_skb', u.BPF_TRACE_RAW_TP, [sk, family]).message).toBe(
      "R2 invalid mem access 'trusted_ptr_or_null_'",
    );
    expect(load('kfree_skb', u.BPF_TRACE_RAW_TP, [sk, insn(0x15, 2, 0, 1), family]).ok).toBe(true);
  });

  it('writes nothing and reads nothing else', () => {
    const denied = (body: readonly Insn[]): string => load('kfree_skb', u.BPF_TRACE_RAW_TP, body).message;
    expect(denied([insn(0x79, 2, 1, 32)])).toBe('invalid bpf_context access off=32 size=8');
    expect(denied([insn(0x7a, 1, 0, 0)])).toBe('invalid bpf_context access off=0 size=8');
    expect(denied([skb, insn(0x62, 2, 0, 0)])).toBe('only read is supported');
    expect(denied([skb, insn(0x79, 3, 2, 4096)])).toBe('access beyond struct sk_buff at off 4096 size 8');
  });

  it('is for a point that there is, of the right kind', () => {
    expect(load('nothing', u.BPF_TRACE_RAW_TP, []).message).toBe("netloom has no tracing point 'nothing'");
    expect(load('kfree_skb', u.BPF_TRACE_FENTRY, []).message).toBe("'kfree_skb' is a tracepoint, not a function");
    expect(load('ip_rcv', u.BPF_TRACE_FENTRY, [skb]).ok).toBe(true);
    expect(load('ip_rcv', u.BPF_TRACE_FEXIT, [insn(0x79, 2, 1, 16)]).ok).toBe(true);
  });
});
