import type { CheckResult } from '../firewall/results.ts';
export function isLabFile(text: string): boolean {
  return /^topology:/m.test(text);
}
export async function checkLabFile(_file: string): Promise<CheckResult[]> {
  return [];
}
