/** `netloom test [FILES]` */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { isExpectFile } from '../firewall/expect.ts';
import { BadInput } from '../firewall/problem.ts';
import { type CheckResult, toJunit, toTap } from '../firewall/results.ts';
import { checkExpectFile } from './check.ts';
import { checkLabFile, isLabFile } from './lab-check.ts';
import { guarded, OK, Progress, REFUSED, readText, style } from './output.ts';

const HELP = `
FILES are expectation files (\`netloom expect\`) and lab files with checks; without any, those in this folder
and the folders below it.

Exit code: 0 everything is as expected, 1 something changed, 2 bad input.

Examples:
  netloom test
  netloom test office.yml --junit results.xml
  netloom test lab.yml --tap
`;

const SKIPPED = ['node_modules', 'dist', 'build'];

/** Expectation and lab files below a folder. */
function find(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = folder === '.' ? entry.name : join(folder, entry.name);
      if (entry.isDirectory()) return SKIPPED.includes(entry.name) || entry.name.startsWith('.') ? [] : find(path);
      if (!/\.ya?ml$/.test(entry.name)) return [];
      const text = readText(path);
      return isExpectFile(text) || (isLabFile(text) && /^checks:/m.test(text)) ? [path] : [];
    });
}

async function check(file: string, progress: Progress): Promise<CheckResult[]> {
  const text = readText(file);
  if (isExpectFile(text)) return checkExpectFile(file, (i, n) => progress.step(i, n, `packets of ${file}`));
  if (isLabFile(text)) return checkLabFile(file);
  throw new BadInput('neither an expectation file (rules, expect) nor a lab file (topology)', { file });
}

export function addTest(program: Command): void {
  program
    .command('test')
    .description('check expectation files and lab files: what changed, and which rule did it')
    .argument('[files...]', 'files to check')
    .option('--junit <file>', 'write the results as JUnit XML')
    .option('--tap', 'print the results as TAP 13')
    .addHelpText('after', HELP)
    .action((files: string[], options: { junit?: string; tap?: boolean }) =>
      guarded(async () => {
        const list = files.length > 0 ? files : find('.');
        if (list.length === 0)
          throw new BadInput(
            'no expectation or lab file here; write one with: netloom expect RULES PACKET --save FILE.yml',
          );
        const progress = new Progress();
        const results: CheckResult[] = [];
        for (const file of list) results.push(...(await check(file, progress)));
        progress.done();
        if (options.junit !== undefined) writeFileSync(options.junit, toJunit(results));
        if (options.tap) process.stdout.write(toTap(results));
        else print(results);
        return results.every((r) => r.ok) ? OK : REFUSED;
      }),
    );
}

function print(results: readonly CheckResult[]): void {
  const paint = style();
  let file = '';
  for (const r of results) {
    if (r.file !== file) console.log(paint.bold(r.file));
    file = r.file;
    console.log(`  ${r.ok ? paint.good('ok     ') : paint.bad('CHANGED')} ${r.name}`);
    if (!r.ok) for (const line of r.problem.split('\n')) console.log(`          ${line}`);
  }
  const bad = results.filter((r) => !r.ok).length;
  console.log(
    bad === 0 ? paint.good(`${results.length} as expected`) : paint.bad(`${bad} of ${results.length} changed`),
  );
}
