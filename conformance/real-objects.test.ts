/** Objects that Debian's packages carry (libxdp1, xdp-tools, libbpf-tools...), when they are installed. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Btf } from '../src/bpf/btf/btf.ts';
import { type BpfObject, loadObject } from '../src/bpf/elf/index.ts';
import { findObjects, objectFolders } from './real-objects.ts';

const folders = objectFolders();
if (folders.length === 0) console.warn('skipped: no folder with BPF objects here; NETLOOM_OBJECTS names others');

test.skipIf(folders.length === 0)(
  'real objects load, every program of them',
  () => {
    const vmlinux = '/sys/kernel/btf/vmlinux';
    const target = existsSync(vmlinux) ? Btf.parse(new Uint8Array(readFileSync(vmlinux))) : undefined;
    let programs = 0;
    for (const { id, name, bytes } of findObjects(folders)) {
      for (const against of target === undefined ? [undefined] : [undefined, target]) {
        let object: BpfObject | undefined;
        expect(() => {
          object = loadObject(bytes, { name, target: against, lenient: true });
        }, id).not.toThrow();
        for (const p of object?.programs ?? []) {
          expect([id, p.name, p.problem?.message]).toEqual([id, p.name, undefined]);
          programs++;
        }
      }
    }
    console.log(`${programs} programs`);
  },
  120_000,
);
