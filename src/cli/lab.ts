import { BadInput } from '../firewall/problem.ts';
export async function runInLab(
  _lab: string,
  _node: string | undefined,
  _argv: readonly string[],
  _stdin: string | undefined,
): Promise<number> {
  throw new BadInput('no labs yet');
}
