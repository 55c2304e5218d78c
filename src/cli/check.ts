/** Runs an expectation file: one result per packet. */
import { dirname, resolve } from 'node:path';
import type { RulesKind } from '../firewall/detect.ts';
import { compare, parseExpectFile } from '../firewall/expect.ts';
import { BadInput } from '../firewall/problem.ts';
import type { CheckResult } from '../firewall/results.ts';
import { readText } from './output.ts';
import { openFirewall } from './rules-options.ts';

export function checkExpectFile(file: string, each: (done: number, total: number) => void): CheckResult[] {
  const wanted = parseExpectFile(readText(file), file);
  const kind = wanted.kind as RulesKind | undefined;
  const rules = resolve(dirname(file), wanted.rules);
  const firewall = openFirewall(wanted.rules, wanted.given, { arg: [], ...(kind !== undefined && { kind }) }, rules);
  return wanted.expect.map((expectation, i): CheckResult => {
    each(i, wanted.expect.length);
    const start = performance.now();
    let problem: string;
    try {
      problem = compare(expectation, firewall.ask(expectation.packet));
    } catch (error) {
      if (!(error instanceof BadInput)) throw error;
      problem = error.text.trimEnd();
    }
    return { file, name: expectation.packet, ok: problem === '', problem, ms: performance.now() - start };
  });
}
