/** Runs a lab file's checks for `netloom test`. */
import type { CheckResult } from '../firewall/results.ts';
import { openLab } from './lab.ts';

/** True when a YAML text is a lab file. */
export function isLabFile(text: string): boolean {
  return /^topology:/m.test(text);
}

/** Brings the lab up and runs its checks. */
export function checkLabFile(file: string): CheckResult[] {
  let last = performance.now();
  return openLab(file)
    .check()
    .map(({ name, ok, problem }): CheckResult => {
      const now = performance.now();
      const result = { file, name, ok, problem, ms: now - last };
      last = now;
      return result;
    });
}
