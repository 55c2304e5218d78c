/**
 * Which line of which file made a rule. The tools talk to the host through a netlink transport that this book watches: it
 * asks the kernel side to echo every new rule (NLM_F_ECHO), so the handle of each rule is known in the order the rules
 * were sent, and takes those echoes out of what the tool sees.
 */
import { attrMap, getBeU32, getBeU64, getString } from '../wire/netlink/attr.ts';
import { emitMessages, type Message, type NetlinkTransport, NLMSG_HDRLEN } from '../wire/netlink/message.ts';
import { NLM_F_DUMP, NLM_F_ECHO, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR } from '../wire/uapi/netlink.ts';
import {
  NFT_MSG_GETCHAIN,
  NFT_MSG_GETRULE,
  NFT_MSG_NEWRULE,
  NFTA_CHAIN_HOOK,
  NFTA_CHAIN_NAME,
  NFTA_CHAIN_TABLE,
  NFTA_CHAIN_TYPE,
  NFTA_HOOK_HOOKNUM,
  NFTA_HOOK_PRIORITY,
  NFTA_RULE_CHAIN,
  NFTA_RULE_HANDLE,
  NFTA_RULE_TABLE,
} from '../wire/uapi/nf-tables.ts';
import { NFNL_SUBSYS_NFTABLES } from '../wire/uapi/nfnetlink.ts';

const NETLINK_NETFILTER = 12;
const NEWRULE = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWRULE;
const NFGENMSG_LENGTH = 4;

/** Where a rule was written. */
export type RulePlace = { readonly file: string; readonly line: number; readonly text: string };

export type RuleName = { readonly family: string; readonly table: string; readonly chain: string };

/** Where a base chain is attached. */
export type ChainHook = RuleName & { readonly type: string; readonly hook: string; readonly priority: number };

const FAMILIES: ReadonlyMap<number, string> = new Map([
  [1, 'inet'],
  [2, 'ip'],
  [3, 'arp'],
  [5, 'netdev'],
  [7, 'bridge'],
  [10, 'ip6'],
]);

const INET_HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting', 'ingress'];
const HOOKS: Readonly<Record<string, readonly string[]>> = {
  arp: ['input', 'output', 'forward'],
  netdev: ['ingress', 'egress'],
};

export class RuleBook {
  readonly #places = new Map<string, RulePlace>();
  #fresh: { readonly name: RuleName; readonly handle: number }[] = [];

  /** The transport to hand to tools instead of `inner`. */
  watch(inner: NetlinkTransport): NetlinkTransport {
    return {
      open: (protocol) => {
        const socket = inner.open(protocol);
        if (protocol !== NETLINK_NETFILTER) return socket;
        return {
          send: (datagram) => {
            const { bytes, rules, marked } = markEchoes(datagram);
            const replies = socket.send(bytes);
            if (rules.size === 0) return replies;
            for (const m of replies) if (m.type === NEWRULE && rules.has(m.seq)) this.#take(m);
            return replies.filter((m) => m.type !== NEWRULE || !marked.has(m.seq));
          },
        };
      },
    };
  }

  #take(m: Message): void {
    const attrs = attrMap(m.payload, NFGENMSG_LENGTH);
    const table = attrs.get(NFTA_RULE_TABLE);
    const chain = attrs.get(NFTA_RULE_CHAIN);
    const handle = attrs.get(NFTA_RULE_HANDLE);
    if (table && chain && handle)
      this.#fresh.push({
        name: {
          family: FAMILIES.get(m.payload[0]) ?? '',
          table: getString(table.payload),
          chain: getString(chain.payload),
        },
        handle: Number(getBeU64(handle.payload)),
      });
  }

  /** All rules made since the last call come from one place. */
  assign(place: RulePlace): void {
    for (const { name, handle } of this.#fresh.splice(0)) this.#places.set(key(name.family, name.table, handle), place);
  }

  /**
   * The rules made since the last call come from these places, in order within their chain. A chain whose numbers do not
   * agree stays without places rather than with wrong ones.
   */
  assignAll(written: readonly { readonly name: RuleName; readonly place: RulePlace }[]): void {
    const chainKey = (n: RuleName): string => `${n.family} ${n.table} ${n.chain}`;
    const byChain = new Map<string, RulePlace[]>();
    for (const { name, place } of written) {
      const list = byChain.get(chainKey(name));
      if (list === undefined) byChain.set(chainKey(name), [place]);
      else list.push(place);
    }
    const made = new Map<string, { name: RuleName; handle: number }[]>();
    for (const each of this.#fresh.splice(0)) {
      const list = made.get(chainKey(each.name));
      if (list === undefined) made.set(chainKey(each.name), [each]);
      else list.push(each);
    }
    for (const [chain, rules] of made) {
      const places = byChain.get(chain);
      if (places?.length !== rules.length) continue;
      rules.forEach(({ name, handle }, i) => {
        this.#places.set(key(name.family, name.table, handle), places[i]);
      });
    }
  }

  /** A tool has told the places itself. */
  put(rules: readonly { readonly name: RuleName; readonly handle: number; readonly place: RulePlace }[]): void {
    this.#fresh = [];
    for (const { name, handle, place } of rules) this.#places.set(key(name.family, name.table, handle), place);
  }

  /** Where the rule was written, if known. */
  place(family: string, table: string, handle: number): RulePlace | undefined {
    return this.#places.get(key(family, table, handle));
  }
}

function key(family: string, table: string, handle: number): string {
  return `${family} ${table} ${handle}`;
}

/** Sets NLM_F_ECHO on every new rule. Sequence numbers: `rules` of all, `marked` of those that had not asked themselves. */
function markEchoes(datagram: Uint8Array): { bytes: Uint8Array; rules: Set<number>; marked: Set<number> } {
  const rules = new Set<number>();
  const marked = new Set<number>();
  const bytes = Uint8Array.from(datagram);
  const dv = new DataView(bytes.buffer);
  for (let at = 0; at + NLMSG_HDRLEN <= bytes.length; ) {
    const length = dv.getUint32(at, true);
    if (length < NLMSG_HDRLEN || at + length > bytes.length) break;
    const flags = dv.getUint16(at + 6, true);
    const isRule = dv.getUint16(at + 4, true) === NEWRULE;
    if (isRule) rules.add(dv.getUint32(at + 8, true));
    if (isRule && !(flags & NLM_F_ECHO)) {
      dv.setUint16(at + 6, flags | NLM_F_ECHO, true);
      marked.add(dv.getUint32(at + 8, true));
    }
    at += (length + 3) & ~3;
  }
  return { bytes, rules, marked };
}

/** All objects of a kind, as the attributes of their messages. */
function dump(netlink: NetlinkTransport, message: number): { family: string; attrs: ReturnType<typeof attrMap> }[] {
  const type = (NFNL_SUBSYS_NFTABLES << 8) | message;
  const payload = Uint8Array.of(0, 0, 0, 0);
  const request = emitMessages([{ type, flags: NLM_F_REQUEST | NLM_F_DUMP, seq: 1, port: 0, payload }]);
  return netlink
    .open(NETLINK_NETFILTER)
    .send(request)
    .filter((m) => m.type !== NLMSG_DONE && m.type !== NLMSG_ERROR)
    .map((m) => ({ family: FAMILIES.get(m.payload[0]) ?? '', attrs: attrMap(m.payload, NFGENMSG_LENGTH) }));
}

/** All base chains of a host, in no particular order. */
export function baseChains(netlink: NetlinkTransport): ChainHook[] {
  const out: ChainHook[] = [];
  for (const { family, attrs } of dump(netlink, NFT_MSG_GETCHAIN)) {
    const hook = attrs.get(NFTA_CHAIN_HOOK);
    const table = attrs.get(NFTA_CHAIN_TABLE);
    const chain = attrs.get(NFTA_CHAIN_NAME);
    const kind = attrs.get(NFTA_CHAIN_TYPE);
    if (!hook || !table || !chain) continue;
    const inner = attrMap(hook.payload);
    const number = inner.get(NFTA_HOOK_HOOKNUM);
    const priority = inner.get(NFTA_HOOK_PRIORITY);
    out.push({
      family,
      table: getString(table.payload),
      chain: getString(chain.payload),
      type: kind ? getString(kind.payload) : '',
      hook: (HOOKS[family] ?? INET_HOOKS)[number ? getBeU32(number.payload) : 0] ?? '',
      priority: priority ? getBeU32(priority.payload) | 0 : 0,
    });
  }
  return out;
}

/** All rules of a host, chain by chain in their order. */
export function allRules(netlink: NetlinkTransport): (RuleName & { readonly handle: number })[] {
  const out: (RuleName & { handle: number })[] = [];
  for (const { family, attrs } of dump(netlink, NFT_MSG_GETRULE)) {
    const table = attrs.get(NFTA_RULE_TABLE);
    const chain = attrs.get(NFTA_RULE_CHAIN);
    const handle = attrs.get(NFTA_RULE_HANDLE);
    if (table && chain && handle)
      out.push({
        family,
        table: getString(table.payload),
        chain: getString(chain.payload),
        handle: Number(getBeU64(handle.payload)),
      });
  }
  return out;
}
