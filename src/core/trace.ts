/**
 * What a traced packet tells on its way: one event per step, made only for packets that carry PKT_TRACE while the world
 * has a tracer, so an untraced packet pays one flag test.
 */
export type TraceEvent =
  | { readonly kind: 'receive'; readonly host: string; readonly ifindex: number; readonly dev: string }
  | { readonly kind: 'transmit'; readonly host: string; readonly ifindex: number; readonly dev: string }
  /** The packet meets a netfilter hook that somebody listens on. `family` is the path's ("ip", "ip6", "arp", ...). */
  | { readonly kind: 'hook'; readonly host: string; readonly family: string; readonly hook: string }
  /** A rule matched all its expressions and said `verdict` ("accept", "drop", "jump web", "continue", ...). */
  | {
      readonly kind: 'rule';
      readonly host: string;
      readonly family: string;
      readonly table: string;
      readonly chain: string;
      readonly handle: number;
      readonly verdict: string;
    }
  /** The end of a base chain: its policy, or the verdict `return` led to. */
  | {
      readonly kind: 'policy';
      readonly host: string;
      readonly family: string;
      readonly table: string;
      readonly chain: string;
      readonly verdict: string;
    }
  | { readonly kind: 'conntrack'; readonly host: string; readonly state: string; readonly text: string }
  /** Addresses or ports rewritten: `manip` is "snat" or "dnat"; endpoints as "10.0.0.7:40000". */
  | {
      readonly kind: 'nat';
      readonly host: string;
      readonly manip: 'snat' | 'dnat';
      readonly from: string;
      readonly to: string;
    }
  /** Routing's answer: `text` as `ip route get` words it. */
  | {
      readonly kind: 'route';
      readonly host: string;
      readonly type: string;
      readonly dev: string;
      readonly text: string;
    }
  | { readonly kind: 'deliver'; readonly host: string; readonly to: string }
  /** The packet is gone, and why. `rule` is the handle that decided, 0 for none. */
  | { readonly kind: 'drop'; readonly host: string; readonly reason: string; readonly rule: number }
  /** The host answers with a packet of its own because of this one (reject, ICMP error). */
  | { readonly kind: 'reply'; readonly host: string; readonly text: string };

export type Tracer = (event: TraceEvent, p: number) => void;
