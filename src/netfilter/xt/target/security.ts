/** Targets SECMARK and CONNSECMARK: security labels. netloom has no security module that could read a context. */
import { EINVAL, ENOENT, KernelError } from '../../../core/errno.ts';
import {
  type ConnsecmarkTarget,
  connsecmarkTarget,
  type SecmarkTarget,
  secmarkTarget,
} from '../../../wire/xt/secmark-target.ts';
import { holdConntrack } from '../../nft/expr/nat-common.ts';
import { XT_CONTINUE, type XtTarget } from '../extension.ts';

const SELINUX = 1;

function onlyInTables(table: string): void {
  if (table !== 'mangle' && table !== 'security')
    throw new KernelError(EINVAL, `only valid in 'mangle' or 'security' table, not '${table}'`);
}

export const SECMARK: XtTarget<SecmarkTarget> = {
  name: 'SECMARK',
  revision: 1,
  codec: secmarkTarget,
  make(info, ctx) {
    onlyInTables(ctx.table);
    if (info.mode !== SELINUX) throw new KernelError(EINVAL);
    // A kernel without a security module cannot map a context either.
    throw new KernelError(ENOENT, `unable to map security context '${info.context}'`);
  },
};

const SAVE = 1;
const RESTORE = 2;

export const CONNSECMARK: XtTarget<ConnsecmarkTarget> = {
  name: 'CONNSECMARK',
  revision: 0,
  codec: connsecmarkTarget,
  make(info, ctx) {
    onlyInTables(ctx.table);
    if (info.mode !== SAVE && info.mode !== RESTORE) throw new KernelError(EINVAL, `invalid mode: ${info.mode}`);
    const table = ctx.init.host.conntrack;
    return {
      run(pkt) {
        const { slab } = table;
        const entry = table.of(pkt.p);
        if (entry === undefined) return XT_CONTINUE;
        const label = slab.secmark(pkt.p);
        if (info.mode === SAVE) {
          if (label !== 0 && entry.secmark === 0) entry.secmark = label;
        } else if (label === 0 && entry.secmark !== 0) slab.setSecmark(pkt.p, entry.secmark);
        return XT_CONTINUE;
      },
      destroy: holdConntrack(ctx.init),
    };
  },
};
