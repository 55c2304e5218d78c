/**
 * `npm run conformance -- SUITE [--root DIR] [--filter RE] [--json]`
 *
 * SUITE is a folder below the conformance data (`netfilter/wild-nft`); `--root` names another tree of the same layout.
 * Prints every difference with what was expected and what came; the last line alone is "N passed, M failed". Exit code
 * 0 when every failure is listed in known.json and every listed one still fails, 1 otherwise, 2 for bad arguments.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Known, type Suite, tally } from './suite.ts';

const repository = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const shared = process.env.NETLOOM_SHARED ?? resolve(repository, '../shared');

/** Suites by folder name, without the version that a folder may carry. */
const SUITES: Readonly<Record<string, string>> = {
  'wild-nft': './wild-nft.js',
  'wild-iptables-save': './wild-iptables-save.js',
  'iptables-oracle': './iptables-oracle.js',
  'iptables-t': './iptables-t.js',
  'iptables-sessions': './iptables-sessions.js',
  'nft-match-matrix': './nft-match-matrix.js',
  'conntrack-sequences': './conntrack-sequences.js',
  'conntrack-cli': './conntrack-cli.js',
  'nft-py': './nft-py.js',
  'nft-dumps': './nft-dumps.js',
  'nft-sessions': './nft-sessions.js',
  'nft-monitor': './nft-monitor.js',
  'iptables-txlate': './iptables-txlate.js',
  cbpf: './ebpf-cbpf.js',
  matrices: './ebpf-matrices.js',
  core: './ebpf-core.js',
  programs: './ebpf-programs.js',
  conformance: './ebpf-conformance.js',
  own: './ebpf-own.js',
};

function usage(problem: string): never {
  console.error(`conformance: ${problem}`);
  console.error('usage: npm run conformance -- SUITE [--root DIR] [--filter RE] [--json]');
  console.error(
    `suites: ${Object.entries(SUITES)
      .map(([name, module]) => `${module.startsWith('./ebpf-') ? 'ebpf' : 'netfilter'}/${name}`)
      .join(', ')} (nft-py-1.0.6, nft-py-1.1.0)`,
  );
  process.exit(2);
}

async function main(): Promise<void> {
  let args: ReturnType<typeof parse>;
  try {
    args = parse();
  } catch (error) {
    usage((error as Error).message);
  }
  const [suite] = args.positionals;
  if (suite === undefined || args.positionals.length > 1) usage('one SUITE is needed');
  const module = SUITES[basename(suite).replace(/-\d+(\.\d+)*$/, '')];
  if (module === undefined) usage(`there is no suite ${suite}`);
  const folder = join(args.values.root ?? join(shared, 'conformance'), suite);
  // A suite of one file is named like a folder.
  if (!existsSync(folder) && !existsSync(`${folder}.jsonl.gz`))
    usage(`${folder} is not there; --root names a tree that has it`);
  const filter = args.values.filter === undefined ? undefined : new RegExp(args.values.filter);

  const list = JSON.parse(readFileSync(join(repository, 'conformance/known.json'), 'utf8')) as Record<string, Known>;
  const { run } = (await import(module)) as Suite;
  const json = args.values.json === true;
  let last = Date.now();
  let seen = 0;
  const result = tally(run(folder, filter), list[suite] ?? {}, (r, accepted) => {
    seen++;
    if (process.stderr.isTTY && Date.now() - last > 2000) {
      last = Date.now();
      process.stderr.write(`\r${seen} cases...`);
    }
    if (json) console.log(JSON.stringify({ ...r, accepted }));
    else if (!r.ok) {
      console.log(`${accepted ? 'accepted difference' : 'FAILED'}: ${r.id}${r.reason ? `: ${r.reason}` : ''}`);
      if (r.expected !== undefined) console.log(`  expected: ${r.expected.replaceAll('\n', '\n            ')}`);
      if (r.got !== undefined) console.log(`  got:      ${r.got.replaceAll('\n', '\n            ')}`);
    }
  });
  for (const id of result.gone) console.log(`no longer differs, take it out of known.json: ${id}`);
  if (result.fresh.length > 0) console.log(`${result.fresh.length} differences are not in known.json`);
  if (!json) {
    for (const [name, { passed, failed }] of result.groups) {
      console.log(`${name}: ${passed} of ${passed + failed} (${((100 * passed) / (passed + failed)).toFixed(2)} %)`);
    }
  }
  if (module.startsWith('./ebpf-')) console.log(`false accepts: ${result.falseAccepts}`);
  console.log(`${result.passed} passed, ${result.failed} failed`);
  process.exitCode = result.fresh.length + result.gone.length > 0 ? 1 : 0;
}

function parse() {
  return parseArgs({
    allowPositionals: true,
    options: { root: { type: 'string' }, filter: { type: 'string' }, json: { type: 'boolean' } },
  });
}

await main();
