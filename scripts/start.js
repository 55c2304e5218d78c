/**
 * `npm start`: installs and builds what is missing, then shows the main job on examples/office: the lab comes up, a few
 * packets are tried on its gateway, its expectations are checked.
 */
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root } from './setup.js';

ensureInstalled();
ensureBuilt();

const start = Date.now();
if (process.stdout.isTTY && !process.env.NO_COLOR) process.env.FORCE_COLOR = '1';
process.chdir(join(root, 'examples', 'office'));
const { runCli } = await import('../dist/cli/program.js');

/** Shows a command as a person would type it, and runs it in the office's folder. Ends this process on an unexpected code. */
async function show(title, args, expected) {
  console.log(`\n\u2501\u2501 ${title}`);
  const words = args.map((a) => (/[^\w./=:-]/.test(a) ? `'${a}'` : a));
  console.log(`$ netloom ${words.join(' ')}\n`);
  const code = await runCli(args);
  if (code === expected) return;
  console.error(`\nnetloom ${args[0]} ended with code ${code}, expected ${expected}`);
  process.exit(1);
}

// Saved output of `ip -j addr`, `ip -j route` and `ip -j -6 route` of the gateway.
const host = ['--addr-json', 'addr.json', '--route-json', 'route.json', '--route-json', 'route6.json'];
const packet = (text) => ['try', 'nftables.conf', text, ...host];

console.log(
  'netloom: a small office behind one gateway (examples/office): LAN, DMZ, guest Wi-Fi, uplink with NAT, IPv6.',
);
await show('The network comes up, and its hosts reach whom they should', ['test', 'lab.yml'], 0);
await show(
  'May a staff machine open a web site? What does NAT make of it, does the answer come back?',
  packet('lan 10.0.10.7 -> 203.0.113.9:443'),
  0,
);
await show(
  'Does a customer on the internet reach the web server in the DMZ?',
  packet('uplink 198.51.100.7 -> 192.0.2.2:443'),
  0,
);
await show('And may a guest on the Wi-Fi reach a staff machine?', packet('guests 10.0.30.5 -> 10.0.10.7:22'), 1);
await show('Is everything still as the office wrote it down?', ['test', 'expectations.yml'], 0);

console.log(`
Done in ${((Date.now() - start) / 1000).toFixed(1)} s. Now with your own firewall:

  node bin/netloom.js try /etc/nftables.conf 'eth0 198.51.100.7 -> local:22'
  node bin/netloom.js try rules.v4 'lan 192.168.1.7 -> 203.0.113.9:443' --iface lan=192.168.1.1/24
  node bin/netloom.js --help
`);
process.exitCode = 0;
