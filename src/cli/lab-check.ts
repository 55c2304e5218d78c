/** Runs a lab file's checks for `netloom test`. */
import { BadInput } from '../firewall/problem.ts';
import type { CheckResult } from '../firewall/results.ts';
import { checkLab } from '../lab/commands.ts';
import { LabError } from '../lab/yaml-reader.ts';
import { labIo } from './lab.ts';
import { readText } from './output.ts';

/** True when a YAML text is a lab file. */
export function isLabFile(text: string): boolean {
  return /^topology:/m.test(text);
}

/** Brings the lab up and runs its checks. Throws BadInput with line and column. */
export function checkLabFile(file: string): CheckResult[] {
  const text = readText(file);
  const start = performance.now();
  try {
    const results = checkLab(text, file, labIo);
    const ms = (performance.now() - start) / Math.max(1, results.length);
    return results.map(({ name, ok, problem }) => ({ file, name, ok, problem, ms }));
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    const source = text.split('\n')[error.line - 1] ?? '';
    throw new BadInput(error.problem, { file, line: error.line, column: error.column - 1, source });
  }
}
