/**
 * Helpers (`struct nf_conntrack_helper`): trackers of protocols that agree on further connections inside a first one. A helper
 * reads the payload of its connection and says what is to be expected; NAT then rewrites what it said (nat/helper/).
 */
import type { HookState } from '../../../core/hook.ts';
import type { Conntrack } from '../conntrack.ts';
import type { Conn } from '../entry.ts';
import type { Words } from '../tuple.ts';
import type { Follow } from './payload.ts';

/** How many expectations of one class a connection may have, and for how many seconds they stand. */
export type ExpectPolicy = { readonly name: string; readonly max: number; readonly timeout: number };

export type Helper = {
  /** As `ct helper`, `CT --helper` and listings name it. */
  readonly name: string;
  readonly protocol: number;
  readonly policies: readonly ExpectPolicy[];
  /** Private state of a connection; none when it is not given. */
  readonly newData?: () => HelperData;
  /** Sees each packet of its connections behind all rules; `at` is the transport header. NF_ACCEPT or NF_DROP. */
  help(table: Conntrack, ct: Conn, p: number, at: number, ctinfo: number, state: HookState): number;
  /** Told when the connection goes. */
  gone?(table: Conntrack, ct: Conn): void;
};

/** A helper's own notes on a connection; each helper narrows it by `kind`. */
export type HelperData = { readonly kind: string };

/** What a connection knows of its helper. */
export type HelperState = {
  readonly name: string;
  /** Undefined: a helper in user space, or one that is named and not carried out. */
  readonly helper: Helper | undefined;
  /** Expectations by class. */
  readonly expecting: number[];
  readonly data: HelperData | undefined;
};

/** A connection that is announced (`struct nf_conntrack_expect`). */
export type Expectation = {
  readonly tuple: Words;
  /** Which bits of the source count: four address words, then the port. The destination always does. */
  readonly mask: Words;
  /** The connection that announced it. */
  readonly master: { readonly index: number; readonly id: number };
  readonly id: number;
  /** NF_CT_EXPECT_* */
  flags: number;
  readonly class: number;
  /** The helper that the new connection gets. */
  readonly helper: Helper | undefined;
  /** Name of the helper as `ct expectation` or user space gave it. */
  readonly zone: number;
  /** Called with the new connection: NAT follows its master here. */
  expectfn: ((table: Conntrack, ct: Conn, e: Expectation) => void) | undefined;
  /** World time in ns. */
  expiresNs: number;
  /** For NAT: the address and port before it changed them, and the direction that is to be translated. */
  readonly savedAddress: Words;
  savedPort: number;
  dir: number;
};

/** NAT's part in helpers (nat/follow.ts); conntrack knows only that somebody may be there. */
export type Follower = {
  follow(ct: Conn, p: number, at: number, ctinfo: number, pf: number, e: Expectation, how: Follow): number;
  /** Translates a PPTP call's GRE connection as its master is; its keys are the call ids. */
  followCall(ct: Conn, e: Expectation): void;
  /** Replaces bytes of a TCP payload by as many others. NF_DROP when it cannot. */
  replaceTcp(ct: Conn, p: number, at: number, ctinfo: number, pf: number, offset: number, by: Uint8Array): number;
};
