/**
 * `netloom bpf prog|map|net`: bpftool on a node of a lab. `netloom --lab LAB.yml --node NAME bpf map dump name blocked` is
 * `netloom run LAB.yml NAME -- bpftool map dump name blocked`.
 */
import type { Command } from 'commander';
import { BadInput } from '../../firewall/problem.ts';
import { runInLab } from '../lab.ts';
import { guarded } from '../output.ts';

const OBJECTS: readonly (readonly [name: string, what: string])[] = [
  ['prog', 'programs of a node: list, load, unload'],
  ['map', 'maps of a node: list, dump, lookup, update, delete'],
  ['net', 'what is attached to the devices of a node: list, attach, detach'],
];

export function addInLab(program: Command, bpf: Command): void {
  for (const [object, what] of OBJECTS)
    bpf
      .command(object)
      .description(`${what} (bpftool ${object}; needs --lab FILE --node NAME before "bpf")`)
      .helpOption(false)
      .allowUnknownOption()
      .passThroughOptions()
      .argument('[args...]')
      .action((args: string[]) =>
        guarded(() => {
          const { lab, node } = program.opts<{ lab?: string; node?: string }>();
          if (lab === undefined)
            throw new BadInput(`which host? netloom --lab LAB.yml --node NAME bpf ${object} ${args.join(' ')}`);
          const json = args.filter((a) => a === '--json' || a === '-j');
          const words = args.filter((a) => a !== '--json' && a !== '-j');
          return runInLab(lab, node, ['bpftool', ...(json.length > 0 ? ['-j'] : []), object, ...words]);
        }),
      );
}
