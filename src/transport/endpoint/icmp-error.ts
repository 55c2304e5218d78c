/**
 * What an ICMP error means to a socket: an errno, and whether it is one that ends things ("fatal") or only a hint
 * (RFC 1122 4.2.3.9, 4.1.3.3; the kernel's icmp_err_convert and icmpv6_err_convert). One path for all protocols.
 */
import {
  EACCES,
  ECONNREFUSED,
  EHOSTDOWN,
  EHOSTUNREACH,
  EMSGSIZE,
  ENETUNREACH,
  ENONET,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPROTO,
} from '../../core/errno.ts';
import { AF_INET } from '../../wire/address.ts';
import * as icmp from '../../wire/icmp.ts';
import * as icmp6 from '../../wire/icmpv6.ts';

export type IcmpMeaning = { readonly errno: number; readonly fatal: boolean };

const hint = (errno: number): IcmpMeaning => ({ errno, fatal: false });
const fatal = (errno: number): IcmpMeaning => ({ errno, fatal: true });

/** By code of "destination unreachable". */
const UNREACHABLE4: readonly IcmpMeaning[] = [
  hint(ENETUNREACH),
  hint(EHOSTUNREACH),
  fatal(ENOPROTOOPT),
  fatal(ECONNREFUSED),
  hint(EMSGSIZE),
  hint(EOPNOTSUPP),
  fatal(ENETUNREACH),
  fatal(EHOSTDOWN),
  fatal(ENONET),
  fatal(ENETUNREACH),
  fatal(EHOSTUNREACH),
  hint(ENETUNREACH),
  hint(EHOSTUNREACH),
  fatal(EHOSTUNREACH),
  fatal(EHOSTUNREACH),
  fatal(EHOSTUNREACH),
];

const UNREACHABLE6: readonly IcmpMeaning[] = [
  hint(ENETUNREACH),
  fatal(EACCES),
  hint(EHOSTUNREACH),
  hint(EHOSTUNREACH),
  fatal(ECONNREFUSED),
  fatal(EACCES),
  fatal(EACCES),
];

/** What the error says; undefined: nothing to a socket. */
export function icmpMeaning(family: number, type: number, code: number): IcmpMeaning | undefined {
  if (family === AF_INET) {
    switch (type) {
      case icmp.ICMP_SOURCE_QUENCH:
      case icmp.ICMP_REDIRECT:
        return undefined;
      case icmp.ICMP_PARAMETERPROB:
        return fatal(EPROTO);
      case icmp.ICMP_DEST_UNREACH:
        return UNREACHABLE4[code] ?? hint(EHOSTUNREACH);
      default:
        return hint(EHOSTUNREACH);
    }
  }
  switch (type) {
    case icmp6.ICMPV6_DEST_UNREACH:
      return UNREACHABLE6[code] ?? fatal(EPROTO);
    case icmp6.ICMPV6_PKT_TOOBIG:
      return fatal(EMSGSIZE);
    case icmp6.ICMPV6_PARAMPROB:
      return fatal(EPROTO);
    case icmp6.ICMPV6_TIME_EXCEED:
      return hint(EHOSTUNREACH);
    default:
      return hint(EPROTO);
  }
}

/** "Packet too big" in either family: the path MTU is in the message. */
export function isTooBig(family: number, type: number, code: number): boolean {
  return family === AF_INET
    ? type === icmp.ICMP_DEST_UNREACH && code === icmp.ICMP_FRAG_NEEDED
    : type === icmp6.ICMPV6_PKT_TOOBIG;
}
