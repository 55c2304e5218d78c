/**
 * Labs for test runners: `import { lab, host } from 'netloom'`.
 *
 *     const net = lab(`
 *       name: demo
 *       topology:
 *         nodes:
 *           a: { exec: [ip addr add 10.0.0.1/24 dev eth1] }
 *           b: { exec: [ip addr add 10.0.0.2/24 dev eth1] }
 *         links:
 *           - endpoints: [a:eth1, b:eth1]
 *     `);
 *     expect(net.host('a').exec('ping -c 1 b').code).toBe(0);
 */
import { Lab, type LabOptions } from './lab.ts';
import type { LabHost } from './lab-host.ts';

export type { LabCheckResult } from './check.ts';
export { LabClock, type RealClock } from './clock.ts';
export { checkLab, type LabIo, runRun, runUp } from './commands.ts';
export { type Impairments, NO_IMPAIRMENTS } from './impairment-spec.ts';
export { Lab, type LabOptions, type StartedCommand } from './lab.ts';
export { LabHost } from './lab-host.ts';
export { LabError } from './yaml-reader.ts';

/** A lab from a lab file's text, brought up. Throws when the file is wrong or one of its commands fails. */
export function lab(text: string, options: LabOptions & { readonly file?: string } = {}): Lab {
  const net = Lab.from(unindent(text), options.file ?? 'lab.yml', options);
  for (const { node, command, code, stderr, stdout } of net.start())
    if (code !== 0) throw new Error(`${node}: "${command}" ended with ${code}: ${(stderr || stdout).trim()}`);
  return net;
}

/** One host alone, up and without links. `commands` are run in order; one that fails throws. */
export function host(name = 'host', commands: readonly string[] = [], options: LabOptions = {}): LabHost {
  const net = Lab.from(`name: ${name}\ntopology: { nodes: { ${name}: {} } }\n`, 'host', options);
  net.start();
  const only = net.host(name);
  for (const command of commands) only.run(command);
  return only;
}

// A template string in a test is indented as the test is.
function unindent(text: string): string {
  const lines = text.split('\n');
  const indents = lines.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length);
  const common = Math.min(...indents, 80);
  return lines.map((line) => line.slice(common)).join('\n');
}
