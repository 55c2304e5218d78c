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
  refuse('synproxy', 'SYN proxying'),
  refuse('tunnel', 'tunnel metadata'),
  refuse('inner', 'inner headers of tunnels'),
];
