/**
 * `npm run browser -- [--every N] [--filter RE] [--root DIR] [SUITE...]`: builds, then runs the eBPF conformance suites inside
 * headless Chromium. The page loads the built modules as they are, and the recorded data over HTTP from this process.
 *
 * Prints each suite's differences and, as `npm run conformance` does, "N passed, M failed". Exit code 0 when every
 * difference is listed in known.json, 1 otherwise, 2 when there is no Chromium or no data.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, normalize, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuilt, ensureInstalled, root } from './setup.js';

const ALL = ['ebpf/programs', 'ebpf/matrices', 'ebpf/cbpf', 'ebpf/conformance', 'ebpf/core', 'ebpf/own'];
const FOUND = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    every: { type: 'string', default: '1' },
    filter: { type: 'string' },
    root: { type: 'string' },
    minutes: { type: 'string', default: '60' },
  },
});
const suites = positionals.length > 0 ? positionals : ALL;

function stop(problem) {
  console.error(`browser: ${problem}`);
  process.exit(2);
}

const chromium = process.env.CHROMIUM ?? FOUND.find((name) => spawnSync(name, ['--version']).status === 0);
if (chromium === undefined) stop('there is no Chromium here (CHROMIUM names one)');
const data = values.root ?? join(process.env.NETLOOM_SHARED ?? resolve(root, '../shared'), 'conformance');
if (!existsSync(join(data, 'ebpf'))) stop(`${join(data, 'ebpf')} is not there; --root names a tree that has it`);
const unknown = suites.find((name) => !ALL.includes(name));
if (unknown !== undefined) stop(`there is no suite ${unknown}; there are ${ALL.join(', ')}`);

ensureInstalled();
ensureBuilt('tsconfig.conformance.json', 'build/conformance/browser/main.js', ['src', 'conformance']);

/** Files of a suite, below the data: its folder, and what lies beside it. */
function filesOf(suite) {
  const beside = readdirSync(join(data, 'ebpf')).map((name) => `ebpf/${name}`);
  const within = existsSync(join(data, suite))
    ? readdirSync(join(data, suite), { recursive: true }).map((name) => `${suite}/${name}`)
    : [];
  return [...beside, ...within].filter((path) => statSync(join(data, path)).isFile());
}

const NODE = ['node:fs', 'node:path', 'node:zlib'];
const imports = Object.fromEntries(NODE.map((name) => [name, '/build/conformance/browser/files.js']));
const PAGE = `<!doctype html><meta charset="utf-8"><title>netloom</title>
<script type="importmap">${JSON.stringify({ imports })}</script>
<script>addEventListener('error', (e) => fetch('/done', { method: 'POST', body: JSON.stringify({ error: e.message }) }));</script>
<script type="module" src="/build/conformance/browser/main.js"></script>`;

function sendFile(response, base, path, type) {
  const file = join(base, normalize(`/${path}`));
  if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
  response.writeHead(200, { 'content-type': type }).end(readFileSync(file));
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString());
}

let differences = 0;
let finish;
const finished = new Promise((resolveFinish) => {
  finish = resolveFinish;
});

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://127.0.0.1');
  const path = decodeURIComponent(url.pathname);
  if (path === '/') response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
  else if (path.startsWith('/build/')) sendFile(response, root, path, 'text/javascript');
  else if (path.startsWith('/data/ebpf/')) sendFile(response, data, path.slice(6), 'application/octet-stream');
  else if (path === '/files') response.end(JSON.stringify(filesOf(url.searchParams.get('suite'))));
  else if (path === '/known') sendFile(response, root, 'conformance/known.json', 'application/json');
  else if (path === '/suite') {
    const { name, lines, fresh, passed, seconds } = await body(request);
    differences += fresh + (passed === 0 ? 1 : 0);
    console.log(`${name}, in Chromium, ${seconds.toFixed(1)} s:\n${lines.join('\n')}`);
    response.end();
  } else if (path === '/done') {
    finish(await body(request));
    response.end();
  } else response.writeHead(404).end();
});

await new Promise((listening) => {
  server.listen(0, '127.0.0.1', listening);
});
const query = new URLSearchParams(suites.map((name) => ['suite', name]));
query.set('every', values.every);
if (values.filter !== undefined) query.set('filter', values.filter);
const profile = mkdtempSync(join(tmpdir(), 'netloom-browser-'));
const browser = spawn(
  chromium,
  [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--disable-background-networking',
    '--no-first-run',
    `--user-data-dir=${profile}`,
    `http://127.0.0.1:${server.address().port}/?${query}`,
  ],
  { stdio: 'ignore' },
);
browser.on('exit', () => finish({ error: 'Chromium ended' }));
browser.on('error', (error) => finish({ error: error.message }));
const late = setTimeout(() => finish({ error: 'no end in sight' }), Number(values.minutes) * 60_000);

const { error } = await finished;
clearTimeout(late);
browser.removeAllListeners('exit');
browser.kill();
await new Promise((closed) => {
  if (browser.exitCode !== null || browser.signalCode !== null) closed();
  else browser.on('exit', closed);
});
server.closeAllConnections();
server.close();
try {
  rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
} catch (problem) {
  // A last process of Chromium's may still write there.
  console.log(`left behind: ${profile} (${problem.code})`);
}
if (error !== undefined) console.error(`browser: ${error}`);
process.exitCode = error !== undefined || differences > 0 ? 1 : 0;
