/**
 * Expressions that the kernel has and netloom does not have yet: refused by name.
 */
import { EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import type { Expr, ExprKind } from '../expr.ts';

function refuse(name: string, what: string): ExprKind {
  return {
    name,
    init(): Expr {
      throw new KernelError(EOPNOTSUPP, `netloom does not support ${what} yet (expression "${name}")`);
    },
  };
}

export const unsupported: readonly ExprKind[] = [
  refuse('tproxy', 'transparent proxying'),
  refuse('socket', 'socket lookups from rules'),
  refuse('dup', 'packet duplication'),
  refuse('fwd', 'forwarding to a device'),
  refuse('osf', 'passive OS fingerprinting'),
  refuse('synproxy', 'SYN proxying'),
  refuse('xfrm', 'IPsec state'),
  refuse('tunnel', 'tunnel metadata'),
  refuse('inner', 'inner headers of tunnels'),
  refuse('flow_offload', 'flowtables'),
];
