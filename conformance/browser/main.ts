/**
 * The page that `scripts/browser.js` opens: runs the eBPF suites named in its address, unchanged, and posts what they print.
 */
import { type Known, type Suite, tally } from '../suite.ts';
import { addFile, Bytes } from './files.ts';

const SUITES: Readonly<Record<string, () => Promise<unknown>>> = {
  'ebpf/cbpf': () => import('../ebpf-cbpf.ts'),
  'ebpf/matrices': () => import('../ebpf-matrices.ts'),
  'ebpf/core': () => import('../ebpf-core.ts'),
  'ebpf/programs': () => import('../ebpf-programs.ts'),
  'ebpf/conformance': () => import('../ebpf-conformance.ts'),
  'ebpf/own': () => import('../ebpf-own.ts'),
};

async function fetchFile(path: string): Promise<void> {
  const response = await fetch(`/data/${path}`);
  if (!response.ok || response.body === null) throw new Error(`/data/${path}: ${response.status}`);
  const stream = path.endsWith('.gz') ? response.body.pipeThrough(new DecompressionStream('gzip')) : response.body;
  addFile(path, await new Response(stream).arrayBuffer());
}

const post = (path: string, body: unknown): Promise<unknown> =>
  fetch(path, { method: 'POST', body: JSON.stringify(body) });

/** Every nth of what it is asked about and what the pattern takes, in the place of a filter. */
function sample(every: number, pattern: string | null): RegExp {
  const regexp = new RegExp(pattern ?? '');
  let n = 0;
  return { test: (id: string) => regexp.test(id) && n++ % every === 0 } as unknown as RegExp;
}

async function runSuite(name: string, every: number, pattern: string | null): Promise<void> {
  const listed = (await (await fetch(`/files?suite=${name}`)).json()) as string[];
  for (const path of listed) await fetchFile(path);
  const known = (await (await fetch('/known')).json()) as Record<string, Known>;
  const { run } = (await SUITES[name]()) as Suite;
  const lines: string[] = [];
  const began = performance.now();
  const result = tally(run(name, sample(every, pattern)), known[name] ?? {}, (r, accepted) => {
    if (r.ok || r.informal === true) return;
    lines.push(`${accepted ? 'accepted difference' : 'FAILED'}: ${r.id}${r.reason ? `: ${r.reason}` : ''}`);
    if (r.expected !== undefined) lines.push(`  expected: ${r.expected}`);
    if (r.got !== undefined) lines.push(`  got:      ${r.got}`);
  });
  lines.push(`false accepts: ${result.falseAccepts}`, `${result.passed} passed, ${result.failed} failed`);
  const seconds = (performance.now() - began) / 1000;
  await post('/suite', { name, lines, fresh: result.fresh.length, passed: result.passed, seconds });
}

async function main(): Promise<void> {
  Object.assign(globalThis, { Buffer: { from: Bytes.of_ }, process: { env: {} } });
  const query = new URLSearchParams(location.search);
  try {
    for (const name of query.getAll('suite'))
      await runSuite(name, Number(query.get('every') ?? 1), query.get('filter'));
    await post('/done', {});
  } catch (error) {
    await post('/done', { error: (error as Error).stack ?? String(error) });
  }
}

await main();
