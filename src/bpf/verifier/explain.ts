/** What the kernel's log leaves to the reader: the source line, where the offending value came from, what to change. */
import { disasmInsn } from '../asm/disassemble.ts';
import { lineOf, type Reject, type Verifier } from './env.ts';
import type { Explanation } from './verify.ts';

/** A pattern of messages, and what helps. */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [
    /invalid mem access '.*_or_null'/,
    'Compare the pointer with NULL before using it, and use it only where it is not NULL.',
  ],
  [
    /invalid mem access 'scalar'/,
    'This register holds a number, not a pointer: keep the pointer in a variable of pointer type, without casts or arithmetic that mixes it with numbers.',
  ],
  [
    /offset is outside of the packet/,
    'Compare pointer + size with data_end first, and return if it lies beyond; the comparison must cover every byte accessed here.',
  ],
  [/min value is negative/, 'Make the index unsigned, or check that it is not below zero before using it.'],
  [
    /max value is outside of the allowed memory range|unbounded memory access/,
    'Bound the index from above: compare it with the size, or mask it (index & (SIZE - 1)), and use that very variable.',
  ],
  [
    /min value is outside of the allowed memory range|invalid access to map value/,
    'The access lies outside of the value: check offset and size against the value size of the map.',
  ],
  [
    /!read_ok/,
    'Give the variable a value on every path that leads here; after a call, only R0 and R6 to R9 keep theirs.',
  ],
  [
    /unreachable insn/,
    'Remove code that no path reaches (often: statements behind a return, or a function that is not called).',
  ],
  [
    /infinite loop detected|BPF program is too large/,
    'Give the loop a constant bound that the verifier can see, or use bpf_loop or a bpf_for iterator.',
  ],
  [/back-edge/, 'Loops need CAP_BPF: unroll the loop, or load with more privileges.'],
  [
    /reference leak|Unreleased reference/,
    'Release what was acquired (bpf_sk_release, bpf_ringbuf_submit or _discard) on every path, the error paths too.',
  ],
  [
    /invalid bpf_context access/,
    'This program type may not access that field of its context (or not with this size): see the context table of the type.',
  ],
  [
    /dereference of modified ctx ptr/,
    'Access the context with constant offsets from the pointer that the program was given.',
  ],
  [/cannot use helper/, 'Use a helper that this program type has, or another program type.'],
  [/GPL-restricted/, 'Declare a GPL-compatible license: char _license[] SEC("license") = "GPL";'],
  [/type=.* expected=/, 'Pass the kind of value that the helper wants for this argument.'],
  [/misaligned/, 'Access memory at a multiple of the access size; atomic operations and the stack always need it.'],
  [
    /invalid (read from|write to) stack|stack .* off=/,
    'Stay inside the 512 bytes of stack, and initialise a buffer before it is read or passed to a helper.',
  ],
  [
    /pointer arithmetic|pointer .* pointer prohibited|bitwise operator|math between|out of bounds/,
    'Only add bounded numbers to pointers, and subtract pointers of the same object; check the number before it is added.',
  ],
  [/should have been in \[/, 'Return one of the values that this program type allows on every path.'],
  [/leaks addr/, 'Do not store or return addresses: without CAP_PERFMON a program may not reveal them.'],
  [
    /combined stack size/,
    'Use less stack along the chain of calls: smaller buffers, or a per-CPU array map for scratch space.',
  ],
  [
    /spin_lock|holding a lock|lock-ed region/,
    'Between lock and unlock only plain code is allowed: call helpers before taking the lock.',
  ],
  [/cannot be accessed directly/, 'Locks and timers in map values may be passed to their helpers only.'],
  [/cannot pass map_type/, 'This helper does not work on that type of map.'],
  [/write into map forbidden|cannot write into/, 'That memory is read only.'],
  [
    /reserved fields|unknown opcode|invalid BPF_/,
    'The instruction is not encoded as RFC 9669 says; compile or assemble the program again.',
  ],
];

/** `message` may be from anywhere in the verifier. */
export function hintFor(message: string): string {
  for (const [pattern, hint] of HINTS) if (pattern.test(message)) return hint;
  return 'See the log at level 2 for the state before each instruction.';
}

/** Instructions, most recent last, that wrote the register on the path that was walked. */
function writersOf(v: Verifier, regno: number): string[] {
  const lines: string[] = [];
  let wanted = regno;
  // Straight back through the program text: what the reader will look at first.
  for (let pc = v.insn - 1; pc >= 0 && lines.length < 4; pc--) {
    const insn = v.insns[pc];
    const cls = insn.code & 7;
    const writes = cls === 1 || cls === 4 || cls === 7 || (cls === 0 && insn.code === 0x18);
    if (!writes || insn.dst !== wanted || !v.info[pc].seen) {
      if (insn.code === 0x85 && wanted === 0 && v.info[pc].seen) {
        lines.push(`R0 comes from ${pc}: ${disasmInsn(v.insns, pc)}`);
        break;
      }
      continue;
    }
    lines.push(`R${wanted} is set at ${pc}: ${disasmInsn(v.insns, pc)}`);
    const moved = (insn.code & 0xf8) === 0xb8 || cls === 1;
    if (!moved) {
      if ((insn.code & 0xf0) === 0xb0) break;
      continue;
    }
    wanted = insn.src;
  }
  return lines.reverse();
}

export function explain(v: Verifier, failure: Reject): Explanation {
  const onPath = v.processed > 0 && v.info[v.insn]?.seen === true;
  const regno = /^R(\d+) /.exec(failure.message);
  return {
    insn: onPath ? v.insn : -1,
    source: onPath ? lineOf(v.spec.lineInfo, v.insn) : undefined,
    history: onPath && regno !== null ? writersOf(v, Number(regno[1])) : [],
    hint: hintFor(failure.message),
  };
}
