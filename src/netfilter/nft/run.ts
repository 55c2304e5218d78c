/**
 * Runs a packet through a base chain: rules in order, jumps and returns, policy; and makes the hook function of a base
 * chain. The interpreter is the reference that compiled chains are tested against.
 */

import { DROP } from '../../core/drop.ts';
import type { HookFn, HookState } from '../../core/hook.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../../wire/ethernet.ts';
import {
  NF_ACCEPT,
  NF_DROP,
  NF_INET_INGRESS,
  NFPROTO_ARP,
  NFPROTO_BRIDGE,
  NFPROTO_INET,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NFPROTO_NETDEV,
} from '../../wire/uapi/netfilter.ts';
import { NFT_BREAK, NFT_CONTINUE, NFT_GOTO, NFT_JUMP, NFT_RETURN } from '../../wire/uapi/nf-tables.ts';
import { type CompiledChains, INTERPRET } from './compile/chains.ts';
import { END_OF_CHAIN, TOO_DEEP } from './compile/rule-writer.ts';
import { verdictName } from './data.ts';
import type { NetfilterHost } from './host.ts';
import type { Chain, Rule } from './model.ts';
import { PktInfo } from './pkt.ts';
import { Regs } from './regs.ts';

/** How deep jumps may nest (NFT_JUMP_STACK_SIZE). */
export const JUMP_STACK_SIZE = 16;

const FAMILY_NAMES: ReadonlyMap<number, string> = new Map([
  [NFPROTO_INET, 'inet'],
  [NFPROTO_IPV4, 'ip'],
  [NFPROTO_ARP, 'arp'],
  [NFPROTO_NETDEV, 'netdev'],
  [NFPROTO_BRIDGE, 'bridge'],
  [NFPROTO_IPV6, 'ip6'],
]);

/** A table family as nft writes it. */
export function familyName(family: number): string {
  return FAMILY_NAMES.get(family) ?? `family ${family}`;
}

/** What one nesting level of chain runs works with; a rule may send packets that meet chains themselves. */
type Frame = {
  readonly regs: Regs;
  readonly pkt: PktInfo;
  readonly chains: (Chain | undefined)[];
  readonly at: Int32Array;
};

/** Runs chains for one host. */
export class ChainRunner {
  readonly #host: NetfilterHost;
  readonly #frames: Frame[] = [];
  #depth = 0;

  /** Chains as programs; what is not compiled is interpreted. */
  readonly compiled: CompiledChains;

  constructor(host: NetfilterHost, compiled: CompiledChains) {
    this.#host = host;
    this.compiled = compiled;
  }

  #frame(): Frame {
    const frame = this.#frames[this.#depth];
    if (frame) return frame;
    const made: Frame = {
      regs: new Regs(),
      pkt: new PktInfo(this.#host.world),
      chains: new Array<Chain | undefined>(JUMP_STACK_SIZE).fill(undefined),
      at: new Int32Array(JUMP_STACK_SIZE),
    };
    this.#frames.push(made);
    return made;
  }

  /** The hook function of a base chain. */
  hook(chain: Chain): HookFn {
    const family = chain.table.family;
    const base = chain.base!;
    if (family === NFPROTO_INET && base.hook === NF_INET_INGRESS) {
      // inet ingress sees IP packets only, as packets of their own family.
      return (p, state) => {
        const protocol = this.#host.world.slab.protocol(p);
        if (protocol !== ETH_P_IP && protocol !== ETH_P_IPV6) return NF_ACCEPT;
        const inet: HookState = {
          pf: protocol === ETH_P_IP ? NFPROTO_IPV4 : NFPROTO_IPV6,
          hook: NF_INET_INGRESS,
          iif: state.iif,
          oif: state.oif,
        };
        return this.run(chain, p, inet);
      };
    }
    if (base.type === 'route') {
      const { slab } = this.#host.world;
      return (p, state) => {
        const mark = slab.mark(p);
        const at = slab.network(p);
        const before = this.#fingerprint(at, state.pf);
        const verdict = this.run(chain, p, state);
        if ((verdict & 0xff) !== NF_ACCEPT) return verdict;
        const changed = slab.mark(p) !== mark || this.#fingerprint(slab.network(p), state.pf) !== before;
        if (changed && !this.#host.reroute(p, state.pf)) {
          slab.setDropReason(p, DROP.IP_OUTNOROUTES);
          return NF_DROP;
        }
        return verdict;
      };
    }
    return (p, state) => this.run(chain, p, state);
  }

  /** Addresses and traffic class in one number, to see whether a rule changed them. */
  #fingerprint(at: number, pf: number): number {
    const dv = this.#host.world.slab.dv;
    let h = pf === NFPROTO_IPV4 ? dv.getUint8(at + 1) : dv.getUint32(at);
    const from = pf === NFPROTO_IPV4 ? at + 12 : at + 8;
    const words = pf === NFPROTO_IPV4 ? 2 : 8;
    for (let i = 0; i < words; i++) h = (Math.imul(h, 31) + dv.getUint32(from + i * 4)) | 0;
    return h;
  }

  /** The verdict of a base chain on a packet. */
  run(chain: Chain, p: number, state: HookState): number {
    const verdict = this.compiled.run(chain, p, state);
    return verdict === INTERPRET ? this.interpret(chain, p, state) : this.#conclude(chain, p, verdict);
  }

  /** What follows from the result of a compiled chain. */
  #conclude(chain: Chain, p: number, verdict: number): number {
    const { slab } = this.#host.world;
    if (verdict === END_OF_CHAIN) return this.#policy(chain, p);
    if (verdict === TOO_DEEP) {
      slab.setDropReason(p, DROP.NF_JUMP_STACK);
      return NF_DROP;
    }
    if ((verdict & 0xff) === NF_DROP) slab.setDropReason(p, DROP.NETFILTER_DROP, this.compiled.rule);
    return verdict;
  }

  #policy(chain: Chain, p: number): number {
    const { slab } = this.#host.world;
    const base = chain.base!;
    if (base.counters) {
      base.counters.packets++;
      base.counters.bytes += slab.len(p);
    }
    if (base.policy === NF_DROP) slab.setDropReason(p, DROP.NETFILTER_DROP);
    return base.policy;
  }

  /** The same by the interpreter. */
  interpret(chain: Chain, p: number, state: HookState): number {
    const { regs, pkt, chains, at } = this.#frame();
    const { slab } = this.#host.world;
    const world = this.#host.world;
    this.#depth++;
    pkt.set(p, state);
    regs.verdict = NFT_CONTINUE;
    let current = chain;
    let rules = chain.rules;
    let i = 0;
    let depth = 0;
    let verdict = NFT_CONTINUE;
    for (;;) {
      let decided: Rule | undefined;
      for (; i < rules.length; i++) {
        const rule = rules[i];
        const { exprs } = rule;
        regs.verdict = NFT_CONTINUE;
        for (let e = 0; e < exprs.length; e++) {
          exprs[e].eval(regs, pkt);
          if (regs.verdict !== NFT_CONTINUE) break;
        }
        if (regs.verdict === NFT_BREAK) continue;
        if (world.traced(p)) this.#traceRule(p, rule, regs);
        if (world.probe !== undefined) this.#probeRule(p, rule, regs);
        if (regs.verdict === NFT_CONTINUE) continue;
        decided = rule;
        break;
      }
      if (decided === undefined) {
        // End of the chain: back to the caller.
        if (depth === 0) break;
        depth--;
        current = chains[depth]!;
        rules = current.rules;
        i = at[depth];
        continue;
      }
      const code = regs.verdict;
      if (code === NFT_JUMP) {
        if (depth === JUMP_STACK_SIZE) {
          slab.setDropReason(p, DROP.NF_JUMP_STACK);
          verdict = NF_DROP;
          break;
        }
        chains[depth] = current;
        at[depth] = i + 1;
        depth++;
        current = regs.chain!;
        rules = current.rules;
        i = 0;
      } else if (code === NFT_GOTO) {
        current = regs.chain!;
        rules = current.rules;
        i = 0;
      } else if (code === NFT_RETURN) {
        if (depth === 0) break;
        depth--;
        current = chains[depth]!;
        rules = current.rules;
        i = at[depth];
      } else {
        verdict = code;
        if ((code & 0xff) === NF_DROP) slab.setDropReason(p, DROP.NETFILTER_DROP, decided.handle);
        break;
      }
    }
    if (verdict === NFT_CONTINUE) {
      verdict = this.#policy(chain, p);
      if (world.traced(p)) {
        world.trace(p, {
          kind: 'policy',
          host: this.#host.name,
          family: familyName(chain.table.family),
          table: chain.table.name,
          chain: chain.name,
          verdict: verdict === NF_DROP ? 'drop' : 'accept',
        });
      }
    }
    this.#depth--;
    return verdict;
  }

  #probeRule(p: number, rule: Rule, regs: Regs): void {
    const { world, name: host } = this.#host;
    const args = {
      table: rule.chain.table.name,
      chain: rule.chain.name,
      handle: rule.handle,
      verdict: regs.verdict,
    };
    world.probe?.hit({ point: 'nft_rule', host, p, ifindex: world.slab.iif(p), args });
  }

  #traceRule(p: number, rule: Rule, regs: Regs): void {
    this.#host.world.trace(p, {
      kind: 'rule',
      host: this.#host.name,
      family: familyName(rule.chain.table.family),
      table: rule.chain.table.name,
      chain: rule.chain.name,
      handle: rule.handle,
      verdict: verdictName(regs.verdict, regs.chain),
    });
  }
}
