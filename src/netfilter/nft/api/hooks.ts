/**
 * Puts base chains into the host's hooks and takes them out.
 */
import type { HookEntry } from '../../../core/hook.ts';
import {
  NF_INET_INGRESS,
  NF_NETDEV_INGRESS,
  NFPROTO_INET,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NFPROTO_NETDEV,
} from '../../../wire/uapi/netfilter.ts';
import type { Chain } from '../model.ts';
import type { Nftables } from '../nftables.ts';
import { familyName } from '../run.ts';

/** The entries a base chain stands for: one per protocol family, or one per device. */
function entriesOf(nft: Nftables, chain: Chain): HookEntry[] {
  const base = chain.base!;
  const { family } = chain.table;
  const name = `nft ${familyName(family)} ${chain.table.name} ${chain.name}`;
  const fn = nft.runner.hook(chain);
  const { priority } = base;
  const ingress = family === NFPROTO_INET && base.hook === NF_INET_INGRESS;
  if (family === NFPROTO_NETDEV || ingress) {
    return base.devices
      .map((device) => nft.host.deviceIndex(device))
      .filter((ifindex) => ifindex > 0)
      .map((ifindex) => ({
        pf: NFPROTO_NETDEV,
        hook: ingress ? NF_NETDEV_INGRESS : base.hook,
        priority,
        fn,
        ifindex,
        name,
      }));
  }
  const families = family === NFPROTO_INET ? [NFPROTO_IPV4, NFPROTO_IPV6] : [family];
  return families.map((pf) => ({ pf, hook: base.hook, priority, fn, name }));
}

export function hookChain(nft: Nftables, chain: Chain): void {
  const base = chain.base!;
  const entries = entriesOf(nft, chain);
  for (const entry of entries) {
    if (base.type === 'nat') nft.host.registerNat(entry);
    else nft.host.hooks.register(entry);
  }
  base.entries = entries;
}

export function unhookChain(nft: Nftables, chain: Chain): void {
  const base = chain.base!;
  for (const entry of base.entries) {
    if (base.type === 'nat') nft.host.unregisterNat(entry);
    else nft.host.hooks.unregister(entry);
  }
  base.entries = [];
}
