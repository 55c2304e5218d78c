import { describe, expect, it } from 'vitest';
import { HELPER_NAMES } from '../../wire/uapi/bpf.ts';
import { HELPERS, helperProto } from './helper-table.ts';

describe('helper prototypes', () => {
  it('cover every helper once', () => {
    for (let id = 1; id < HELPER_NAMES.length; id++) expect(HELPERS[id]?.id).toBe(id);
    expect(HELPERS.length).toBe(HELPER_NAMES.length);
  });

  it('put a size behind every memory argument without a fixed one', () => {
    for (const proto of HELPERS) {
      proto?.args.forEach((arg, i) => {
        const next = proto.args[i + 1]?.kind;
        if (arg.kind === 'mem' && arg.fixed === undefined) expect(next).toBe('size');
        else expect(next).not.toBe('size');
      });
    }
  });

  it('differ by program type where the kernel has two functions', () => {
    expect(helperProto(124, 30)?.args[1]?.kind).toBe('socket');
    expect(helperProto(124, 3)?.args[1]?.kind).toBe('btf_sock_common');
  });
});
