/** arptables against a netloom host. */
import { expect, test } from 'vitest';
import { words } from '../src/tools/iptables/restore.ts';
import { shell } from './iptables-applets.ts';

test('arptables rules list back as they were given, and -save can be restored', () => {
  const sh = shell('nft');
  const rules = [
    '-A INPUT -j ACCEPT ! -i lo',
    '-A INPUT -s 10.0.0.0/8 --src-mac 01:02:03:04:05:06',
    '-A INPUT ! --src-mac 01:00:00:00:00:00/01:00:00:00:00:00',
    '-A INPUT --opcode 1 --proto-type 0x800',
    '-A OUTPUT -j mangle -d 1.2.3.4 --mangle-ip-d 1.2.3.5',
    '-A OUTPUT -j CLASSIFY -o eth0 --set-class 23:42',
  ];
  for (const rule of rules) expect(sh.run(['arptables', ...words(rule)])).toEqual({ code: 0, stdout: '', stderr: '' });
  const saved = sh.run(['arptables-save']).stdout;
  expect(saved.split('\n').filter((line) => line.startsWith('-A'))).toEqual(rules);
  const second = shell('nft');
  expect(second.run(['arptables-restore'], saved).code).toBe(0);
  expect(second.run(['arptables-save']).stdout).toBe(saved);
  expect(sh.run(['arptables', '-A', 'INPUT', '-j', 'FOO']).stderr).toContain("Chain 'FOO' does not exist");
});
