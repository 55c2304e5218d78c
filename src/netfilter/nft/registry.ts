/**
 * The kinds of expressions by name, as messages name them.
 */

import { match, target } from '../xt/registry.ts';
import { bitwise } from './expr/bitwise.ts';
import { byteorder } from './expr/byteorder.ts';
import { cmp } from './expr/cmp.ts';
import { connlimit } from './expr/connlimit.ts';
import { counter } from './expr/counter.ts';
import { ct } from './expr/ct.ts';
import { dynset } from './expr/dynset.ts';
import { exthdr } from './expr/exthdr.ts';
import { fib } from './expr/fib.ts';
import { flowOffload } from './expr/flow-offload.ts';
import { dup, fwd } from './expr/fwd.ts';
import { hash } from './expr/hash.ts';
import { immediate } from './expr/immediate.ts';
import { last } from './expr/last.ts';
import { limit } from './expr/limit.ts';
import { log } from './expr/log.ts';
import { lookup } from './expr/lookup.ts';
import { masq } from './expr/masq.ts';
import { meta } from './expr/meta.ts';
import { nat } from './expr/nat.ts';
import { notrack } from './expr/notrack.ts';
import { numgen } from './expr/numgen.ts';
import { objref } from './expr/objref.ts';
import { osf } from './expr/osf.ts';
import { payload } from './expr/payload.ts';
import { queue } from './expr/queue.ts';
import { quota } from './expr/quota.ts';
import { range } from './expr/range.ts';
import { redir } from './expr/redir.ts';
import { reject } from './expr/reject.ts';
import { rt } from './expr/rt.ts';
import { socket } from './expr/socket.ts';
import { tproxy } from './expr/tproxy.ts';
import { unsupported } from './expr/unsupported.ts';
import { xfrm } from './expr/xfrm.ts';
import type { ExprKind } from './expr.ts';

const KINDS: readonly ExprKind[] = [
  bitwise,
  byteorder,
  cmp,
  connlimit,
  counter,
  ct,
  dynset,
  exthdr,
  fib,
  hash,
  immediate,
  last,
  limit,
  log,
  lookup,
  masq,
  meta,
  nat,
  notrack,
  numgen,
  objref,
  payload,
  queue,
  quota,
  range,
  redir,
  reject,
  rt,
  match,
  target,
  dup,
  fwd,
  flowOffload,
  osf,
  socket,
  tproxy,
  xfrm,
  ...unsupported,
];

export const EXPR_KINDS: ReadonlyMap<string, ExprKind> = new Map(KINDS.map((kind) => [kind.name, kind]));
