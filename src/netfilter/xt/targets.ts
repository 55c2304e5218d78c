/** All targets of the kernel's half. */
import type { XtTarget } from './extension.ts';
import { SET } from './match/set.ts';
import { ARP_MANGLE } from './target/arp.ts';
import { CONNMARK, CT_TARGETS } from './target/ct.ts';
import { DSCP, HL, TCPMSS, TOS, TTL } from './target/header.ts';
import { HMARK } from './target/hmark.ts';
import { NAT_TARGETS } from './target/nat.ts';
import { DNPT, SNPT } from './target/npt.ts';
import { CONNSECMARK, SECMARK } from './target/security.ts';
import { TEE, TPROXY } from './target/steer.ts';
import { ECN, TCPOPTSTRIP } from './target/tcp-options.ts';
import { IDLETIMER, LED, RATEEST } from './target/timers.ts';
import { AUDIT, CHECKSUM, CLASSIFY, LOG, MARK, NFLOG, NFQUEUE, REJECT4, REJECT6 } from './target/verdict.ts';

export const TARGETS: readonly XtTarget<object>[] = [
  ARP_MANGLE,
  AUDIT,
  CONNSECMARK,
  DNPT,
  HMARK,
  IDLETIMER,
  LED,
  RATEEST,
  SECMARK,
  SET,
  SNPT,
  TEE,
  TPROXY,
  CHECKSUM,
  CLASSIFY,
  CONNMARK,
  ...CT_TARGETS,
  DSCP,
  ECN,
  HL,
  LOG,
  MARK,
  ...NAT_TARGETS,
  NFLOG,
  NFQUEUE,
  REJECT4,
  REJECT6,
  TCPMSS,
  TCPOPTSTRIP,
  TOS,
  TTL,
];
