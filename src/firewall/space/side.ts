/** One of the rulesets that are reasoned about: the host it is loaded in, and its base chains by hook. */
import type { NetfilterHost } from '../../netfilter/nft/host.ts';
import type { Chain, Table } from '../../netfilter/nft/model.ts';
import { familyName } from '../../netfilter/nft/run.ts';
import {
  NFPROTO_ARP,
  NFPROTO_BRIDGE,
  NFPROTO_INET,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NFPROTO_NETDEV,
} from '../../wire/uapi/netfilter.ts';
import type { Plan } from '../infer.ts';
import type { Machine } from '../machine.ts';

const NFT_TABLE_F_DORMANT = 1;

export type Side = {
  /** "old" or "new", or the file's name. */
  readonly name: string;
  readonly machine: Machine;
  readonly plan: Plan;
  readonly warnings: readonly string[];
  readonly tables: readonly Table[];
  readonly host: NetfilterHost;
};

export function sideOf(name: string, machine: Machine, plan: Plan, warnings: readonly string[]): Side {
  const { nftables } = machine.host;
  return { name, machine, plan, warnings, tables: [...nftables.tables.values()], host: nftables.host };
}

export function isActive(table: Table): boolean {
  return (table.flags & NFT_TABLE_F_DORMANT) === 0;
}

/** Every chain of a ruleset. */
export function* chainsOf(side: Side): Iterable<Chain> {
  for (const table of side.tables) yield* table.chains.values();
}

/** "inet filter forward". */
export function chainName(chain: Chain): string {
  return `${familyName(chain.table.family)} ${chain.table.name} ${chain.name}`;
}

/** Which families the rulesets have base chains for. */
export function familiesOf(sides: readonly Side[]): Set<number> {
  const out = new Set<number>();
  for (const side of sides)
    for (const { base, table } of chainsOf(side)) {
      if (base === undefined || !isActive(table)) continue;
      if (table.family === NFPROTO_INET) out.add(NFPROTO_IPV4).add(NFPROTO_IPV6);
      else out.add(table.family);
    }
  return out;
}

export { NFPROTO_ARP, NFPROTO_BRIDGE, NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV };
