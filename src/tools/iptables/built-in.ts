/** The tables and base chains that iptables knows (Linux's iptable_*.c), as iptables-nft makes them. */
import {
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
} from '../../wire/uapi/netfilter.ts';

export type BuiltInChain = {
  readonly name: string;
  readonly hook: number;
  readonly priority: number;
  readonly type: 'filter' | 'nat' | 'route';
};

const HOOKS: Readonly<Record<string, number>> = {
  PREROUTING: NF_INET_PRE_ROUTING,
  INPUT: NF_INET_LOCAL_IN,
  FORWARD: NF_INET_FORWARD,
  OUTPUT: NF_INET_LOCAL_OUT,
  POSTROUTING: NF_INET_POST_ROUTING,
};

function chains(priority: number, ...names: string[]): BuiltInChain[] {
  return names.map((name) => ({ name, hook: HOOKS[name], priority, type: 'filter' }));
}

const TABLES: Readonly<Record<string, readonly BuiltInChain[]>> = {
  filter: chains(0, 'INPUT', 'FORWARD', 'OUTPUT'),
  mangle: chains(-150, 'PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING').map((chain) =>
    chain.name === 'OUTPUT' ? { ...chain, type: 'route' } : chain,
  ),
  raw: chains(-300, 'PREROUTING', 'OUTPUT'),
  security: chains(50, 'INPUT', 'FORWARD', 'OUTPUT'),
  nat: [
    ...chains(-100, 'PREROUTING'),
    ...chains(100, 'INPUT'),
    ...chains(-100, 'OUTPUT'),
    ...chains(100, 'POSTROUTING'),
  ].map((chain) => ({ ...chain, type: 'nat' })),
};

/** The order in which iptables-save prints tables. */
export const TABLE_ORDER: readonly string[] = ['mangle', 'security', 'raw', 'filter', 'nat'];

/** Base chains of a table in hook order; undefined when there is no such table. */
export function builtIn(table: string): readonly BuiltInChain[] | undefined {
  return Object.hasOwn(TABLES, table) ? TABLES[table] : undefined;
}
