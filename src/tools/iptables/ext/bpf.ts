/** Match `bpf`: a classic BPF program written as numbers, or a pinned eBPF program. */
import * as B from '../../../wire/xt/bpf.ts';
import { problem } from '../errors.ts';
import type { Extension } from '../extension.ts';
import { number } from '../values.ts';

const fromUtf8 = new TextDecoder();

function readBytecode(text: string): B.BpfInstruction[] {
  const [head, ...rest] = text.split(',');
  const count = number(head.trim(), 0xffff);
  if (count === undefined || rest.length === 0) throw problem('bpf: error parsing program length');
  if (count > B.BPF_MAX_INSTRUCTIONS) throw problem('bpf: number of instructions exceeds maximum');
  const list = rest.map((part, i) => {
    const words = part.trim().split(/\s+/);
    const [code, jt, jf, k] = words.map((word) => number(word));
    if (words.length !== 4 || code === undefined || jt === undefined || jf === undefined || k === undefined)
      throw problem(`bpf: error at instr ${i}`);
    return { code: code & 0xffff, jt: jt & 255, jf: jf & 255, k };
  });
  if (list.length > count) throw problem('bpf: real program length exceeds the encoded length parameter');
  if (list.length < count) throw problem('bpf: parsed program length is less than the encoded length parameter');
  return list;
}

const path = (s: B.Bpf): string => fromUtf8.decode(s.program.subarray(0, Math.max(0, s.program.indexOf(0))));
const instructions = (s: B.Bpf): string[] =>
  B.readProgram(s.program, s.length).map(({ code, jt, jf, k }) => `${code} ${jt} ${jf} ${k}`);

export const bpf: Extension<B.Bpf> = {
  kind: 'match',
  name: 'bpf',
  revision: 1,
  codec: B.bpf,
  options: [
    {
      name: 'bytecode',
      excl: ['object-pinned'],
      parse(s, value) {
        const list = readBytecode(value);
        s.mode = B.BPF_MODE_BYTECODE;
        s.length = list.length;
        B.writeProgram(s.program, list);
      },
    },
    {
      name: 'object-pinned',
      excl: ['bytecode'],
      parse(s, value, _invert, ctx) {
        const fd = ctx.pinnedProgram?.(value);
        if (fd === undefined) throw problem('bpf: failed to get bpf object');
        s.mode = B.BPF_MODE_FD_PINNED;
        s.fd = fd;
        s.program.set(new TextEncoder().encode(value).subarray(0, s.program.length - 1));
      },
    },
  ],
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem('bpf: one of --bytecode or --pinned is required');
  },
  save(s) {
    if (s.mode === B.BPF_MODE_FD_PINNED) return ` --object-pinned ${path(s)}`;
    return ` --bytecode "${[s.length, ...instructions(s)].join(',')}"`;
  },
  print: (s) =>
    s.mode === B.BPF_MODE_FD_PINNED ? ` match bpf pinned ${path(s)}` : `match bpf ${instructions(s).join(',')} `,
};
