/** `netloom try RULES PACKET...` */
import type { Command } from 'commander';
import { report } from '../firewall/report.ts';
import { guarded, OK, Progress, REFUSED, style } from './output.ts';
import { addRulesOptions, givenOf, openFirewall, type RulesOptions } from './rules-options.ts';

const HELP = `
PACKET is one argument each:
  lan 10.0.0.7 -> 203.0.113.9:443          comes in on lan; TCP because there is a port
  wan udp 198.51.100.1:5000 -> local:53    to the address that wan has
  local -> 9.9.9.9:53 udp                  sent by the host itself
  lan 10.0.0.7 -> 10.0.0.1                 a ping
  lan 10.0.0.7 -> 203.0.113.9:443 in state established
  more words: syn ack fin rst, vlan 10, mark 5, ttl 3, length 1400, payload TEXT, type N, code N
  4500003c...                              bytes, from the Ethernet or IP header on
  capture.pcapng#12                        frame 12 of a capture

Exit code: 0 every packet and its reply pass, 1 one is dropped, 2 bad input.

Examples:
  netloom try nftables.conf 'lan 10.0.0.7 -> 203.0.113.9:443'
  netloom try rules.v4 --iface eth0=192.0.2.2/24 'eth0 198.51.100.7 -> local:22'
  netloom try firewall.sh --arg start --json 'wan capture.pcap#3'
`;

export function addTry(program: Command): void {
  addRulesOptions(program.command('try'))
    .description('send a packet through a ruleset: what happens to it and to its reply, and which line decides')
    .argument('<rules>', 'nft script, iptables-save file, or shell script of ip, iptables, nft and sysctl lines')
    .argument('<packet...>', 'what to send')
    .option('--json', 'print the answers as JSON')
    .addHelpText('after', HELP)
    .action((rules: string, packets: string[], options: RulesOptions & { json?: boolean }) =>
      guarded(() => {
        const firewall = openFirewall(rules, givenOf(options), options);
        const progress = new Progress();
        const answers = packets.map((packet, i) => {
          progress.step(i, packets.length, 'packets');
          return firewall.ask(packet);
        });
        progress.done();
        if (options.json) console.log(JSON.stringify(answers, null, 2));
        else process.stdout.write(answers.map((a) => report(a, style())).join('\n'));
        return answers.every((a) => a.verdict === 'allowed') ? OK : REFUSED;
      }),
    );
}
