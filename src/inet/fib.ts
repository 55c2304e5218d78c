/**
 * The routing tables and rules of one host and one family: what `ip route` and `ip rule` configure and every packet
 * asks. A look-up walks the rules in order; each names a table, each table does longest-prefix match.
 *
 *     const fib = new Fib(AF_INET, devices);
 *     fib.insert(makeRoute({ family: AF_INET, table: RT_TABLE_MAIN, dst: wordsOf(...), dstLength: 8, nexthops }), NLM_F_CREATE);
 *     if (fib.lookup(flow, result) === 0) result.nexthop ...
 *
 * Kernel documents: Documentation/networking/{policy-routing,fib_trie}.rst, ip-rule(8).
 */
import { EACCES, EAGAIN, EEXIST, EINVAL, ENETUNREACH, ENOENT, EPERM, KernelError } from '../core/errno.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import {
  FIB_RULE_INVERT,
  FIB_RULE_PERMANENT,
  FR_ACT_BLACKHOLE,
  FR_ACT_GOTO,
  FR_ACT_NOP,
  FR_ACT_PROHIBIT,
  FR_ACT_TO_TBL,
  FR_ACT_UNREACHABLE,
  RT_SCOPE_NOWHERE,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTN_LOCAL,
  RTN_UNREACHABLE,
  RTNH_F_DEAD,
  RTNH_F_LINKDOWN,
} from '../wire/uapi/rtnetlink.ts';
import type { FibDevices } from './fib-path.ts';
import { defaultRules, type FibRule, makeRule, ruleMatches } from './fib-rule.ts';
import { type FibChange, FibTable } from './fib-table.ts';
import type { FibResult, Flow, Nexthop, Route } from './route.ts';
import { sameWords } from './words.ts';

/** Told of every route that comes or goes: 'new' also for one that changed. */
export type RouteListener = (event: 'new' | 'del', route: Route) => void;

/** Rules that `goto` each other only lead forward, so a walk ends; this bounds it all the same. */
const MAX_RULES = 4096;

export class Fib {
  readonly family: number;
  readonly devices: FibDevices;
  /** Grows with every change of routes or rules: whoever caches an answer compares it. */
  generation = 0;
  /** False until the first rule of the user's: until then Linux keeps table local inside table main. */
  unmerged = false;
  /** Set by rtnetlink, for its group listeners. */
  onRoute: RouteListener | undefined;
  readonly #tables = new Map<number, FibTable>();
  // Direct pointers for the rules' tables: no map look-up per packet.
  // `plain`: the rule speaks about every packet, as the first three do.
  #rules: {
    readonly rule: FibRule;
    readonly table: FibTable | undefined;
    readonly target: number;
    readonly plain: boolean;
  }[] = [];

  constructor(family: number, devices: FibDevices) {
    this.family = family;
    this.devices = devices;
    this.table(RT_TABLE_LOCAL);
    this.table(RT_TABLE_MAIN);
    this.#setRules(defaultRules(family));
  }

  /** The table of this number, made when missing. */
  table(id: number): FibTable {
    let table = this.#tables.get(id);
    if (table === undefined) {
      table = new FibTable(this.family, id);
      this.#tables.set(id, table);
      this.#setRules(this.rules());
    }
    return table;
  }

  /** The table of this number, if it exists. */
  find(id: number): FibTable | undefined {
    return this.#tables.get(id);
  }

  /** Existing tables in the order Linux dumps them (by the low byte of the number). */
  tables(): FibTable[] {
    return [...this.#tables.values()].sort((a, b) => (a.id & 255) - (b.id & 255) || b.id - a.id);
  }

  /**
   * Asks the rules and tables. 0 with `out` filled; ENETUNREACH when nothing matches; EINVAL (blackhole), EHOSTUNREACH
   * (unreachable), EACCES (prohibit) when a route or rule says so, with `out.type` telling which.
   */
  lookup(flow: Flow, out: FibResult): number {
    out.route = undefined;
    out.nexthop = undefined;
    out.type = 0;
    out.table = 0;
    const rules = this.#rules;
    for (let i = 0, steps = 0; i < rules.length && steps < MAX_RULES; i++, steps++) {
      const { rule, table, target, plain } = rules[i];
      if (!plain && !ruleMatches(rule, flow, this.devices)) continue;
      switch (rule.action) {
        case FR_ACT_TO_TBL: {
          if (table === undefined) break;
          const errno = table.lookup(flow, out, this.devices);
          if (errno === EAGAIN) break;
          if (errno === 0 && this.#suppressed(rule, out)) {
            out.route = undefined;
            out.nexthop = undefined;
            out.type = 0;
            break;
          }
          return errno;
        }
        case FR_ACT_GOTO:
          if (target > i) i = target - 1;
          break;
        case FR_ACT_NOP:
          break;
        case FR_ACT_UNREACHABLE:
          out.type = RTN_UNREACHABLE;
          return ENETUNREACH;
        case FR_ACT_PROHIBIT:
          return EACCES;
        case FR_ACT_BLACKHOLE:
          return EINVAL;
      }
    }
    return ENETUNREACH;
  }

  #suppressed(rule: FibRule, out: FibResult): boolean {
    if (rule.suppressPrefixLength >= 0 && out.route !== undefined && out.route.dstLength <= rule.suppressPrefixLength)
      return true;
    const hop = out.nexthop;
    return rule.suppressIfgroup >= 0 && hop !== undefined && this.devices.group(hop.oif) === rule.suppressIfgroup;
  }

  /** Adds a checked route (see fib-check.ts for the checks of `ip route add`). Throws EEXIST, ENOENT. */
  insert(route: Route, flags: number): FibChange {
    const change = this.table(route.table).add(route, flags);
    this.generation++;
    for (const gone of change.removed) this.onRoute?.('del', gone);
    for (const come of change.added) this.onRoute?.('new', come);
    return change;
  }

  /** Removes the first route of the prefix that `matches`. Throws ESRCH when there is none. */
  delete(table: number, dst: Uint32Array, dstLength: number, matches: (route: Route) => boolean): Route {
    const gone = this.table(table).delete(dst, dstLength, matches);
    this.generation++;
    this.onRoute?.('del', gone);
    return gone;
  }

  /** Removes this very route. */
  remove(route: Route): void {
    if (!this.find(route.table)?.remove(route)) return;
    this.generation++;
    this.onRoute?.('del', route);
  }

  /** Puts `next` in the place of `route` (a multipath route that lost a hop). */
  swap(route: Route, next: Route): void {
    this.find(route.table)?.swap(route, next);
    this.generation++;
  }

  /** Every route of every table, in dump order. */
  *routes(): Generator<Route> {
    for (const table of this.tables()) yield* table.routes();
  }

  /** The rules in order. */
  rules(): FibRule[] {
    return this.#rules.map((entry) => entry.rule);
  }

  #setRules(rules: readonly FibRule[]): void {
    this.#rules = rules.map((rule) => ({
      rule,
      table: this.#tables.get(rule.table),
      plain: sameRule(
        rule,
        makeRule({
          family: rule.family,
          priority: rule.priority,
          action: rule.action,
          table: rule.table,
          target: rule.target,
          protocol: rule.protocol,
        }),
      ),
      target: rule.action === FR_ACT_GOTO ? rules.findIndex((r) => r.priority >= rule.target) : -1,
    }));
    for (const entry of this.#rules)
      if (entry.target >= 0 && entry.rule.target !== rules[entry.target].priority) this.#unresolve(entry.rule);
    this.generation++;
  }

  #unresolve(rule: FibRule): void {
    // A goto whose target does not exist does nothing until it does.
    this.#rules = this.#rules.map((e) => (e.rule === rule ? { ...e, target: -1 } : e));
  }

  /** True when a `goto` rule's target exists. */
  resolved(rule: FibRule): boolean {
    return this.#rules.some((entry) => entry.rule.priority === rule.target);
  }

  /** The priority a new rule without one gets: one less than the second rule's (fib_default_rule_pref). */
  defaultPriority(): number {
    const second = this.#rules[1]?.rule.priority ?? 0;
    return second > 0 ? second - 1 : 0;
  }

  /** Adds a rule behind those of equal priority; with `exclusive`, EEXIST when the same rule stands already. */
  addRule(rule: FibRule, exclusive = false): void {
    const rules = this.rules();
    if (exclusive && rules.some((r) => sameRule(r, rule))) throw new KernelError(EEXIST);
    if (rule.action === FR_ACT_GOTO && rule.target <= rule.priority)
      throw new KernelError(EINVAL, 'Backward goto not supported');
    const at = rules.findIndex((r) => r.priority > rule.priority);
    rules.splice(at < 0 ? rules.length : at, 0, rule);
    this.unmerged = true;
    this.#setRules(rules);
  }

  /** Removes the first rule that `matches`. Throws ENOENT, or EPERM for the rule of table local. */
  deleteRule(matches: (rule: FibRule) => boolean): FibRule {
    const rules = this.rules();
    const rule = rules.find(matches);
    if (rule === undefined) throw new KernelError(ENOENT);
    if (rule.flags & FIB_RULE_PERMANENT) throw new KernelError(EPERM);
    this.#setRules(rules.filter((r) => r !== rule));
    return rule;
  }

  /**
   * The device went down (`gone`: was removed). IPv4 keeps the local entries of a device that is only down; IPv6 drops
   * everything. A multipath route loses the hop (IPv6) or marks it dead (IPv4), and goes with its last hop.
   */
  deviceDown(ifindex: number, gone = false): void {
    for (const route of [...this.routes()]) {
      const affected = (hop: Nexthop): boolean =>
        hop.oif === ifindex && (gone || this.family === AF_INET6 || hop.scope !== RT_SCOPE_NOWHERE);
      if (!route.nexthops.some(affected)) continue;
      if (this.family === AF_INET) {
        for (const hop of route.nexthops) if (affected(hop)) hop.flags |= RTNH_F_DEAD | RTNH_F_LINKDOWN;
        if (route.nexthops.every((hop) => hop.flags & RTNH_F_DEAD)) this.#drop(route);
      } else {
        const rest = route.nexthops.filter((hop) => !affected(hop));
        if (rest.length === 0) this.#drop(route);
        else this.swap(route, { ...route, nexthops: rest });
      }
    }
    this.generation++;
  }

  // Routes that go because their device went are not announced by IPv4 (listeners know from the link event); IPv6's are.
  #drop(route: Route): void {
    this.find(route.table)?.remove(route);
    if (this.family === AF_INET6) this.onRoute?.('del', route);
  }

  /** The device came up: dead hops of surviving multipath routes live again. */
  deviceUp(ifindex: number): void {
    this.#markHops(ifindex, (flags) => flags & ~RTNH_F_DEAD);
  }

  /** Carrier came or went while up: LINKDOWN on the hops. */
  carrier(ifindex: number, on: boolean): void {
    this.#markHops(ifindex, (flags) => (on ? flags & ~RTNH_F_LINKDOWN : flags | RTNH_F_LINKDOWN));
  }

  #markHops(ifindex: number, change: (flags: number) => number): void {
    for (const route of this.routes()) {
      // IPv6's own addresses do not depend on the carrier.
      if (this.family === AF_INET6 && route.type === RTN_LOCAL) continue;
      for (const hop of route.nexthops)
        if (hop.oif === ifindex && (this.family === AF_INET6 || hop.scope !== RT_SCOPE_NOWHERE))
          hop.flags = change(hop.flags);
    }
    this.generation++;
  }

  /** A local address is gone: IPv4 routes that prefer it as source go with it. */
  sourceGone(address: Uint32Array): void {
    for (const route of [...this.routes()])
      if (route.prefsrc !== undefined && sameWords(route.prefsrc, address)) this.#drop(route);
    this.generation++;
  }
}

function sameRule(a: FibRule, b: FibRule): boolean {
  const text = (rule: FibRule): string => JSON.stringify({ ...rule, flags: rule.flags & FIB_RULE_INVERT });
  return text(a) === text(b);
}
