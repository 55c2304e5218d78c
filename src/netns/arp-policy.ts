/**
 * Whom a host answers ARP for, and with which address it asks: arp_ignore, arp_announce, arp_filter, proxy_arp
 * (Documentation/networking/ip-sysctl.rst).
 */
import type { Hooks } from '../core/hook.ts';
import type { World } from '../core/world.ts';
import type { NetDevice } from '../device/device.ts';
import { clearFlow, newFibResult, newFlow } from '../inet/route.ts';
import { selectSource4 } from '../inet/source.ts';
import type { ArpHost } from '../link/arp.ts';
import type { NeighbourTable } from '../link/neighbour.ts';
import { AF_INET } from '../wire/address.ts';
import { RT_SCOPE_HOST, RT_SCOPE_LINK, RTN_LOCAL, RTN_UNICAST } from '../wire/uapi/rtnetlink.ts';
import type { Host } from './host.ts';

export class ArpPolicy implements ArpHost {
  readonly #host: Host;
  readonly #flow = newFlow();
  readonly #result = newFibResult();
  readonly #words = new Uint32Array(4);

  constructor(host: Host) {
    this.#host = host;
  }

  get name(): string {
    return this.#host.name;
  }
  get world(): World {
    return this.#host.world;
  }
  get hooks(): Hooks {
    return this.#host.hooks;
  }
  get neighbours(): NeighbourTable {
    return this.#host.neigh4;
  }

  isLocal(address: number): boolean {
    this.#words[0] = address;
    return this.#host.addresses.isLocal(AF_INET, this.#words);
  }

  answersFor(dev: NetDevice, target: number, sender: number): boolean {
    const { sysctls, fib4 } = this.#host;
    clearFlow(this.#flow);
    this.#flow.dst[0] = target;
    this.#flow.src[0] = sender;
    this.#flow.iif = dev.ifindex;
    if (fib4.lookup(this.#flow, this.#result) !== 0) return false;
    const { type } = this.#result;
    if (type === RTN_LOCAL) return !this.#ignored(dev, target, sender) && !this.#filtered(dev, target, sender);
    if (type !== RTN_UNICAST || sysctls.conf4(dev.ifindex, 'forwarding') === 0) return false;
    // Proxy ARP: for addresses that lie behind another interface.
    return sysctls.conf4(dev.ifindex, 'proxy_arp') !== 0 && this.#result.nexthop?.oif !== dev.ifindex;
  }

  #ignored(dev: NetDevice, target: number, sender: number): boolean {
    const { addresses, sysctls } = this.#host;
    const mode = sysctls.conf4(dev.ifindex, 'arp_ignore');
    if (mode === 0) return false;
    if (mode === 8) return true;
    const own = addresses.list(AF_INET, dev.ifindex).filter((a) => a.local[0] === target);
    if (mode === 1) return own.length === 0;
    if (mode === 2) {
      return !own.some((a) => a.prefixLength === 0 || (a.local[0] ^ sender) >>> (32 - a.prefixLength) === 0);
    }
    if (mode === 3) return addresses.all(AF_INET).some((a) => a.local[0] === target && a.scope === RT_SCOPE_HOST);
    return false;
  }

  /** arp_filter: answer only on the device by which the sender would be reached. */
  #filtered(dev: NetDevice, target: number, sender: number): boolean {
    if (this.#host.sysctls.conf4(dev.ifindex, 'arp_filter') === 0) return false;
    clearFlow(this.#flow);
    this.#flow.dst[0] = sender;
    this.#flow.src[0] = target;
    this.#flow.iif = this.#host.lo.ifindex;
    if (this.#host.fib4.lookup(this.#flow, this.#result) !== 0) return true;
    return this.#result.nexthop?.oif !== dev.ifindex;
  }

  sourceFor(dev: NetDevice, target: number): number {
    this.#words[0] = target;
    this.#words[1] = this.#words[2] = this.#words[3] = 0;
    return selectSource4(this.#host.addresses, dev.ifindex, this.#words, RT_SCOPE_LINK)[0];
  }

  acceptGratuitous(dev: NetDevice): boolean {
    return this.#host.sysctls.conf4(dev.ifindex, 'arp_accept') !== 0;
  }
}
