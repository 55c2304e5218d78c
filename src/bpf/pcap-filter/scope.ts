/** What the compiler of an expression carries along: link layer, memory words, names, and how to complain. */
import { parseAddress } from '../../wire/address.ts';
import { lookupService, protocolByName } from '../../wire/services.ts';
import type { At } from './ast.ts';
import type { Cond } from './cond.ts';
import { FilterError } from './lexer.ts';
import { isProtocol, type Link } from './link.ts';

/** Names that only the caller can resolve. Addresses are texts: IPv4, IPv6, MAC. */
export type Resolver = {
  readonly host?: (name: string) => readonly string[] | undefined;
  /** Ethernet address of a name (/etc/ethers). */
  readonly ether?: (name: string) => string | undefined;
  /** "10.0.0.0/8" of a name (/etc/networks). */
  readonly net?: (name: string) => string | undefined;
  /** Port of a name and the protocols it is for; the built-in table is asked when this says nothing. */
  readonly service?: (
    name: string,
  ) => { readonly port: number; readonly tcp: boolean; readonly udp: boolean } | undefined;
  readonly protocol?: (name: string) => number | undefined;
};

/** Memory words of the machine; offsets of tunnels take them from below, arithmetic from above. */
const WORDS = 16;

export class Scope {
  readonly expression: string;
  readonly resolver: Resolver;
  readonly netmask: number;
  readonly live: boolean;
  link: Link;
  /** Words that hold offsets: they must be there on every path. */
  kept = 0;
  #inUse = 0;

  constructor(expression: string, link: Link, resolver: Resolver, netmask: number, live: boolean) {
    this.expression = expression;
    this.link = link;
    this.resolver = resolver;
    this.netmask = netmask;
    this.live = live;
  }

  fail(problem: string, { at }: At): never {
    throw new FilterError(problem, this.expression, at);
  }

  /** A word for the rest of the program. */
  keepWord(where: At): number {
    if (this.kept + this.#inUse >= WORDS) this.fail('the expression needs more than 16 memory words', where);
    return this.kept++;
  }
  /** A word for an intermediate value; words are given back in reverse order. */
  takeWord(where: At): number {
    if (this.kept + this.#inUse >= WORDS) this.fail('the expression needs more than 16 memory words', where);
    this.#inUse++;
    return WORDS - this.#inUse;
  }
  giveWord(): void {
    this.#inUse--;
  }

  /** The payload is of this protocol. */
  protocol(type: number, where: At): Cond {
    return isProtocol(this.link, type) ?? this.fail('unsupported protocol over mpls', where);
  }

  service(name: string): { readonly port: number; readonly tcp: boolean; readonly udp: boolean } | undefined {
    return this.resolver.service?.(name) ?? lookupService(name);
  }
  protocolNumber(name: string): number | undefined {
    return this.resolver.protocol?.(name) ?? protocolByName.get(name);
  }
  /** Addresses of a host name as 4 or 16 bytes. */
  addresses(name: string): Uint8Array[] | undefined {
    return this.resolver.host?.(name)?.flatMap((text) => {
      const bytes = parseAddress(text);
      return bytes === undefined ? [] : [bytes];
    });
  }
}
