/** Sets up the host that a ruleset is tried on: plans what it has, makes it, loads the ruleset. */
import { detectKind, type RulesKind } from './detect.ts';
import { type Given, type IfaceSpec, type PacketHint, type Plan, plan } from './infer.ts';
import { hintsOf, loadRules, type RulesInput, type ScriptFacts } from './load.ts';
import { Machine, type MachineOptions } from './machine.ts';

export type FirewallOptions = {
  /** The ruleset and the name to call it by. */
  readonly text: string;
  readonly file: string;
  readonly kind?: RulesKind;
  /** A save file is of ip6tables. */
  readonly six?: boolean;
  readonly given: Given;
  /** Reads files that the ruleset includes. */
  readonly readFile?: (path: string) => string;
  /** Reads capture files. */
  readonly readBytes?: (path: string) => Uint8Array;
  /** Arguments of a shell script. */
  readonly args?: readonly string[];
};

/** The options as the loader wants them. */
export function inputOf(options: FirewallOptions): RulesInput {
  return {
    text: options.text,
    file: options.file,
    kind: options.kind ?? detectKind(options.text, options.file, options.six),
    args: options.args ?? [],
    ...(options.readFile !== undefined && { readFile: options.readFile }),
  };
}

/** What the host for packets like these will have: given and inferred interfaces, addresses and routes. */
export function planHost(
  input: RulesInput,
  given: Given,
  packets: readonly PacketHint[],
): { readonly plan: Plan; readonly facts: ScriptFacts } {
  const facts = hintsOf(input);
  const all: Given = {
    ifaces: [...given.ifaces, ...facts.script.ifaces],
    routes: [...given.routes, ...facts.script.routes],
  };
  return { plan: plan(all, facts.hints, packets), facts };
}

/** A host with the ruleset loaded, and what the loading said. Throws BadInput. */
export function setUp(
  input: RulesInput,
  given: Given,
  packets: readonly PacketHint[],
  options: MachineOptions = {},
): { readonly machine: Machine; readonly plan: Plan; readonly warnings: readonly string[] } {
  const { plan: planned, facts } = planHost(input, given, packets);
  const machine = new Machine(ownIfaces(planned, facts), options);
  const warnings = loadRules(machine, input);
  machine.finish(planned.routes.filter((route) => !facts.script.routes.includes(route)));
  return { machine, plan: planned, warnings };
}

/** What is to be there before a script runs: not the interfaces and addresses that it adds itself. */
function ownIfaces(planned: Plan, { script, created }: ScriptFacts): IfaceSpec[] {
  return planned.ifaces
    .filter(({ name }) => !created.has(name))
    .map(({ name, addresses }) => {
      const scripted = script.ifaces.find((i) => i.name === name)?.addresses ?? [];
      return { name, addresses: addresses.filter((a) => !scripted.includes(a)) };
    });
}
