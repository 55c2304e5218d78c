/** `netloom bpf wasm FILE.o --prog NAME`: the WebAssembly module that a program is compiled to. */
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { NotCompiled } from '../../bpf/compile/input.ts';
import { Machine } from '../../bpf/runtime/machine.ts';
import { BpfSystem } from '../../bpf/system.ts';
import { verify } from '../../bpf/verifier/verify.ts';
import { KernelError } from '../../core/errno.ts';
import { Slab } from '../../core/slab.ts';
import { wasmText } from '../../core/wasm-text.ts';
import { BadInput } from '../../firewall/problem.ts';
import { guarded, OK, REFUSED } from '../output.ts';
import { choosePrograms, type ObjectOptions, readObject, withObjectOptions } from './object-file.ts';

const HELP = `
The module has one function for each subprogram and each hash table that is looked up, and the exports
  main(ctx, frame pointer) -> r0             batch(run, handles, n, results), for XDP and tc
  run(run) -> low word of r0                 callback(run, function, r1, r2, r3, r4)
Addresses are those of a machine that holds nothing else.

Exit code: 0 compiled, 1 refused by the verifier or not compiled, 2 the file cannot be read.

Examples:
  netloom bpf wasm xdp_filter.o --prog parse
  netloom bpf wasm xdp_filter.o --prog parse --out parse.wasm
`;

type Options = ObjectOptions & { readonly out?: string; readonly checking?: boolean };

export function addWasm(bpf: Command): void {
  withObjectOptions(
    bpf
      .command('wasm')
      .description('show the WebAssembly module that a program is compiled to, as text')
      .argument('<file>', 'BPF object (clang -target bpf -c)'),
  )
    .option('--out <file>', 'write the module itself there instead')
    .option('--checking', 'compile every access with its bounds')
    .addHelpText('after', HELP)
    .action((file: string, options: Options) => guarded(() => run(file, options)));
}

function run(file: string, options: Options): number {
  const object = readObject(file, options);
  const programs = choosePrograms(object, file, options.prog);
  if (programs.length > 1)
    throw new BadInput(`choose one program with --prog: ${programs.map((p) => p.name).join(', ')}`, { file });
  const [program] = programs;
  if (program.problem !== undefined) throw new BadInput(`${program.name}: ${program.problem.message}`, { file });
  const machine = new Machine({ slab: new Slab(), env: { now: () => 0, random: () => 0 } });
  const system = new BpfSystem(machine);
  try {
    const maps = object.maps.map((spec) => system.createMap(spec));
    const spec = { ...program, maps };
    const verdict = verify(spec);
    if (!verdict.ok) {
      process.stderr.write(`${program.name}: refused: ${verdict.message}\n`);
      return REFUSED;
    }
    const module = system.engine.compile(spec, maps, { facts: verdict, checking: options.checking });
    if (options.out === undefined) process.stdout.write(wasmText(module));
    else writeFileSync(options.out, module);
    return OK;
  } catch (error) {
    if (!(error instanceof NotCompiled || error instanceof KernelError)) throw error;
    process.stderr.write(`${program.name}: ${error.message}\n`);
    return REFUSED;
  }
}
