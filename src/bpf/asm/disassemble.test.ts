import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decodeInsns, isLdImm64 } from '../insn.ts';
import { disasmInsn } from './disassemble.ts';

const data = join(process.env.NETLOOM_SHARED ?? '../shared', 'conformance/ebpf');
const lines = (file: string): string[] =>
  gunzipSync(readFileSync(join(data, file)))
    .toString()
    .split('\n')
    .filter((line) => line !== '');
const program = (hex: string) => decodeInsns(new Uint8Array(Buffer.from(hex, 'hex')));

/** Instructions in a verifier log by number, without what follows them. */
function instructions(log: string): [number, string][] {
  return [...log.matchAll(/^\s*(\d+): (?:[0-9.]{11} )?(\([0-9a-f]{2}\) .*?)(?:\s+;.*)?$/gm)].map((m) => [+m[1], m[2]]);
}

describe('disassembly', () => {
  it('is that of the verifier’s log', () => {
    const insns = program(
      [
        'b702000005000000',
        '7a0af8ffffffffff',
        'db2af8ff00000000',
        'c32af8ffa0000000',
        'db2af8ff01000000',
        'c32af8ff41000000',
        'db2af8ffe1000000',
        'c32af8fff1000000',
        'dba3f8ff00010000',
        'd32af8ff10010000',
        'd702000010000000',
        'dc02000020000000',
        'bf22080000000000',
        '3f22010000000000',
        '97020100fbffffff',
        '91a3f8ff00000000',
        '0600000004000000',
        '66020000ffffffff',
        'e500010000000000',
        '8510000002000000',
        '200000000c000000',
        '40200000fdffffff',
        '8500000007000000',
      ].join(''),
    );
    expect(insns.map((_, pc) => disasmInsn(insns, pc))).toEqual([
      '(b7) r2 = 5',
      '(7a) *(u64 *)(r10 -8) = -1',
      '(db) lock *(u64 *)(r10 -8) += r2',
      '(c3) lock *(u32 *)(r10 -8) ^= r2',
      '(db) r2 = atomic64_fetch_add((u64 *)(r10 -8), r2)',
      '(c3) r2 = atomic_fetch_or((u32 *)(r10 -8), r2)',
      '(db) r2 = atomic64_xchg((u64 *)(r10 -8), r2)',
      '(c3) r0 = atomic_cmpxchg((u32 *)(r10 -8), r0, r2)',
      '(db) r3 = load_acquire((u64 *)(r10 -8))',
      '(d3) store_release((u8 *)(r10 -8), r2)',
      '(d7) r2 = bswap16 r2',
      '(dc) r2 = be32 r2',
      '(bf) r2 = (s8)r2',
      '(3f) r2 s/= r2',
      '(97) r2 s%= -5',
      '(91) r3 = *(s8 *)(r10 -8)',
      '(06) gotol pc+4',
      '(66) if w2 s> 0xffffffff goto pc+0',
      '(e5) may_goto pc+1',
      '(85) call pc+2',
      '(20) r0 = *(u32 *)skb[12]',
      '(40) r0 = *(u32 *)skb[r2 + -3]',
      '(85) call bpf_get_prandom_u32#7',
    ]);
  });

  it.skipIf(!existsSync(data))('of accepted programs is the recorded one, line by line', () => {
    let compared = 0;
    const check = (insns: ReturnType<typeof program>, log: string): void => {
      for (const [pc, text] of instructions(log)) {
        // What a map's address was on the recording machine, or a number that only its kernel's BTF gives a name.
        if (pc >= insns.length || (isLdImm64(insns[pc]) && insns[pc].src !== 0)) continue;
        if (insns[pc].code === 0x85 && insns[pc].src === 2) continue;
        expect(disasmInsn(insns, pc)).toBe(text);
        compared++;
      }
    };
    for (const line of lines('programs/range_states.jsonl.gz')) {
      const row = JSON.parse(line) as { insns: string; log2: string };
      check(program(row.insns), row.log2);
    }
    for (const line of lines('own/manifest.jsonl.gz')) {
      const { programs } = JSON.parse(line) as {
        programs: { insns: string; verdict: Record<string, { tail?: string[] }> }[];
      };
      for (const { insns, verdict } of programs)
        for (const { tail } of Object.values(verdict)) check(program(insns), (tail ?? []).join('\n'));
    }
    expect(compared).toBeGreaterThan(3000);
  });
});
