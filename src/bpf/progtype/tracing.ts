/**
 * Contexts of programs on probes: registers (kprobe, uprobe), a tracepoint's record, a performance event, the raw
 * arguments of a tracepoint, and a netfilter hook's two pointers; `syscall` programs get whatever their caller hands in.
 */
import {
  BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE_NETFILTER,
  BPF_PROG_TYPE_PERF_EVENT,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
  BPF_PROG_TYPE_SYSCALL,
  BPF_PROG_TYPE_TRACEPOINT,
} from '../../wire/uapi/bpf.ts';
import { PTR_TO_BTF_ID, PTR_TO_TP_BUFFER, PTR_TRUSTED } from '../verifier/reg.ts';
import { bytes, integer, pointer, type Struct } from './layout.ts';
import { type ContextRules, names, readOnly } from './rules.ts';

/** `struct pt_regs` of x86-64. */
export const PT_REGS_SIZE = 168;
export const PT_REGS: Struct = { name: 'pt_regs', size: PT_REGS_SIZE, fields: [bytes('regs', 0, PT_REGS_SIZE)] };

const PERF_MAX_TRACE_SIZE = 8192;
/** Offsets in instructions are 16 bits, signed. */
const MAX_OFFSET = 32768;
/**
 * The first word belongs to the kernel. How long a record is, is not known before the program is attached: then
 * `contextFits` must be asked. Linux compares the offset in a way that lets loads below the record pass here, too.
 */
export const TRACE_RECORD: Struct = {
  name: 'trace_entry',
  size: PERF_MAX_TRACE_SIZE,
  fields: [bytes('below', -MAX_OFFSET, MAX_OFFSET), bytes('record', 8, PERF_MAX_TRACE_SIZE - 8)],
};

export const BPF_PERF_EVENT_DATA: Struct = {
  name: 'bpf_perf_event_data',
  size: PT_REGS_SIZE + 16,
  fields: [
    { ...bytes('regs', 0, PT_REGS_SIZE), element: 8, read: 'whole' },
    integer('sample_period', PT_REGS_SIZE, 8, 'parts'),
    integer('addr', PT_REGS_SIZE + 8, 8, 'parts'),
  ],
};

const MAX_BPF_FUNC_ARGS = 12;
export const RAW_TRACEPOINT_ARGS: Struct = {
  name: 'bpf_raw_tracepoint_args',
  size: MAX_BPF_FUNC_ARGS * 8,
  fields: [bytes('args', 0, MAX_BPF_FUNC_ARGS * 8)],
};

/** A load of the whole first argument gives the buffer that the tracepoint lends to the program. */
export const WRITABLE_TRACEPOINT_ARGS: Struct = {
  name: 'bpf_raw_tracepoint_args',
  size: MAX_BPF_FUNC_ARGS * 8,
  fields: [
    // What does not start at the first byte is a number like the other arguments.
    { ...pointer('buffer', 0, 8, PTR_TO_TP_BUFFER), size: 1 },
    bytes('args', 1, MAX_BPF_FUNC_ARGS * 8 - 1),
  ],
};

export const BPF_NF_CTX: Struct = {
  name: 'bpf_nf_ctx',
  size: 16,
  fields: [
    pointer('state', 0, 8, PTR_TO_BTF_ID | PTR_TRUSTED, 'nf_hook_state'),
    pointer('skb', 8, 8, PTR_TO_BTF_ID | PTR_TRUSTED, 'sk_buff'),
  ],
};

const U16_MAX = 65535;
export const SYSCALL_CONTEXT: Struct = {
  name: 'bpf_syscall',
  size: U16_MAX,
  fields: [bytes('context', 0, U16_MAX)],
};
const SYSCALL_FIELDS = names(SYSCALL_CONTEXT);

export const TRACING_TYPES: ReadonlyMap<number, ContextRules> = new Map<number, ContextRules>([
  [BPF_PROG_TYPE_KPROBE, readOnly(PT_REGS)],
  [BPF_PROG_TYPE_TRACEPOINT, readOnly(TRACE_RECORD)],
  [BPF_PROG_TYPE_PERF_EVENT, readOnly(BPF_PERF_EVENT_DATA)],
  [BPF_PROG_TYPE_RAW_TRACEPOINT, readOnly(RAW_TRACEPOINT_ARGS)],
  [BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE, readOnly(WRITABLE_TRACEPOINT_ARGS)],
  [BPF_PROG_TYPE_NETFILTER, readOnly(BPF_NF_CTX)],
  [BPF_PROG_TYPE_SYSCALL, { struct: SYSCALL_CONTEXT, read: () => SYSCALL_FIELDS, write: () => SYSCALL_FIELDS }],
]);
