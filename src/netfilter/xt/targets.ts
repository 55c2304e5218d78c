/** All targets of the kernel's half. */
import type { XtTarget } from './extension.ts';
import { CONNMARK, CT_TARGETS } from './target/ct.ts';
import { DSCP, HL, TCPMSS, TOS, TTL } from './target/header.ts';
import { NAT_TARGETS } from './target/nat.ts';
import { ECN, TCPOPTSTRIP } from './target/tcp-options.ts';
import { AUDIT, CHECKSUM, CLASSIFY, LOG, MARK, NFLOG, NFQUEUE, REJECT4, REJECT6 } from './target/verdict.ts';

export const TARGETS: readonly XtTarget<object>[] = [
  AUDIT,
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
