/**
 * `npm start`: installs and builds what is missing, then shows the main job on examples/office: the lab comes up, a few
 * packets are tried on its gateway, its expectations are checked.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root } from './setup.js';

ensureInstalled();
ensureBuilt();

const start = Date.now();
const office = join(root, 'examples', 'office');
const colour = process.stdout.isTTY && !process.env.NO_COLOR ? { FORCE_COLOR: '1' } : {};

/** Shows a command as a person would type it, and runs it in the office's folder. Ends this process on an unexpected code. */
function show(title, args, expected) {
  console.log(`\n\u2501\u2501 ${title}`);
  const words = args.map((a) => (/[^\w./=:-]/.test(a) ? `'${a}'` : a));
  console.log(`$ netloom ${words.join(' ')}\n`);
  const { status } = spawnSync(process.execPath, [join(root, 'bin', 'netloom.js'), ...args], {
    cwd: office,
    stdio: 'inherit',
    env: { ...process.env, ...colour },
  });
  if (status !== expected) {
    console.error(`\nnetloom ${args[0]} ended with code ${status}, expected ${expected}`);
    process.exit(1);
  }
}

const host = [
  ...['--iface', 'uplink=192.0.2.2/24,2001:db8:ffff::2/64'],
  ...['--iface', 'lan=10.0.10.1/24,2001:db8:10:10::1/64'],
  ...['--iface', 'dmz=10.0.20.1/24,2001:db8:10:20::1/64'],
  ...['--iface', 'guests=10.0.30.1/24,2001:db8:10:30::1/64'],
  ...['--route', 'default via 192.0.2.1', '--route', '::/0 via 2001:db8:ffff::1'],
];
const rules = 'nftables.conf';

console.log(
  'netloom: a small office behind one gateway (examples/office): LAN, DMZ, guest Wi-Fi, uplink with NAT, IPv6.',
);
show('The network comes up, and its hosts reach each other', ['test', 'lab.yml'], 0);
show(
  'May a staff machine open a web site? What does NAT make of it, does the answer come back?',
  ['try', rules, ...host, 'lan 10.0.10.7 -> 203.0.113.9:443'],
  0,
);
show(
  'Does a customer on the internet reach the web server in the DMZ?',
  ['try', rules, ...host, 'uplink 198.51.100.7 -> 192.0.2.2:443'],
  0,
);
show(
  'And may a guest on the Wi-Fi reach a staff machine?',
  ['try', rules, ...host, 'guests 10.0.30.5 -> 10.0.10.7:22'],
  1,
);
show('Is everything still as the office wrote it down?', ['test', 'expectations.yml'], 0);

console.log(`
Done in ${((Date.now() - start) / 1000).toFixed(1)} s. Now with your own firewall:

  node bin/netloom.js try /etc/nftables.conf 'eth0 198.51.100.7 -> local:22'
  node bin/netloom.js try rules.v4 'lan 192.168.1.7 -> 203.0.113.9:443' --iface lan=192.168.1.1/24
  node bin/netloom.js --help
`);
