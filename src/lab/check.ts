/**
 * A lab file's checks: a command on a node, and what must come of it.
 */
import type { Lab } from './lab.ts';
import type { CheckSpec } from './topology.ts';

export type LabCheckResult = {
  readonly name: string;
  readonly ok: boolean;
  /** What differs, in lines; empty when ok. */
  readonly problem: string;
  /** Line of the check in the lab file. */
  readonly line: number;
};

/** Runs one check. */
export function runCheck(lab: Lab, check: CheckSpec): LabCheckResult {
  if (check.after > 0) lab.run(check.after);
  const { code, stdout, stderr } = lab.host(check.node).exec(check.command);
  const problems: string[] = [];
  // -1: any failure will do.
  if (check.exit === -1 ? code === 0 : code !== check.exit)
    problems.push(`expected exit code ${check.exit === -1 ? 'other than 0' : check.exit}, got ${code}`);
  for (const text of check.contains) if (!stdout.includes(text)) problems.push(`output does not contain "${text}"`);
  for (const text of check.lacks) if (stdout.includes(text)) problems.push(`output contains "${text}"`);
  if (check.output !== undefined && tidy(stdout) !== tidy(check.output))
    problems.push(`expected output:\n${tidy(check.output)}\ngot:`);
  const ok = problems.length === 0;
  const shown = `${check.node}$ ${check.command}\n${stdout}${stderr}`.trimEnd();
  return { name: check.name, ok, problem: ok ? '' : `${problems.join('\n')}\n${shown}`, line: check.line };
}

function tidy(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .trim();
}
