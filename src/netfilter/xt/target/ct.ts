/** Targets CT and CONNMARK. */
import { EINVAL, ENOENT, KernelError } from '../../../core/errno.ts';
import { IPCT_MARK } from '../../../wire/uapi/ctnetlink.ts';
import { type ConnmarkTarget, connmarkTarget } from '../../../wire/xt/connmark-target.ts';
import { type CtTarget, ctTarget } from '../../../wire/xt/ct-target.ts';
import { IP_CT_UNTRACKED, ZONE_DIR_BOTH, ZONE_DIR_ORIG, ZONE_DIR_REPL } from '../../conntrack/entry.ts';
import { helperState, needHelper } from '../../conntrack/helper/registry.ts';
import { holdConntrack } from '../../nft/expr/nat-common.ts';
import { XT_CONTINUE, type XtTarget } from '../extension.ts';

const NOTRACK = 1;
const ZONE_ORIG = 4;
const ZONE_REPLY = 8;
const ZONE_MARK = 16;

function ct(revision: number): XtTarget<CtTarget> {
  return {
    name: 'CT',
    revision,
    codec: ctTarget,
    make(info, ctx) {
      if (ctx.table !== 'raw' || info.flags & ~31) throw new KernelError(EINVAL);
      const table = ctx.init.host.conntrack;
      const release = holdConntrack(ctx.init);
      if (info.flags & NOTRACK)
        return {
          run: (pkt) => {
            if (table.slab.nfct(pkt.p) === 0) table.notrack(pkt.p);
            return XT_CONTINUE;
          },
          destroy: release,
        };
      const policy = info.timeout === '' ? undefined : table.timeoutPolicies.get(info.timeout);
      if (info.timeout !== '' && policy === undefined)
        throw new KernelError(ENOENT, `No such timeout policy "${info.timeout}"`);
      if (policy !== undefined) {
        if (policy.l4 !== ctx.proto)
          throw new KernelError(
            EINVAL,
            `Timeout policy \`${info.timeout}' can only be used by L4 protocol number ${policy.l4}`,
          );
        policy.use++;
      }
      if (info.helper !== '') {
        if (ctx.proto === 0 || ctx.protoInvert)
          throw new KernelError(ENOENT, 'You must specify a L4 protocol and not use inversions on it');
        needHelper(info.helper, ctx.proto);
      }
      const dir = info.flags & ZONE_ORIG ? ZONE_DIR_ORIG : info.flags & ZONE_REPLY ? ZONE_DIR_REPL : ZONE_DIR_BOTH;
      const needed =
        policy !== undefined ||
        info.zone !== 0 ||
        info.helper !== '' ||
        info.ctEvents !== 0 ||
        info.expEvents !== 0 ||
        info.flags !== 0;
      return {
        run: (pkt) => {
          // Already seen or taken out of tracking: too late for a template.
          if (table.slab.nfct(pkt.p) !== 0 || table.slab.nfctinfo(pkt.p) === IP_CT_UNTRACKED || !needed)
            return XT_CONTINUE;
          const id = info.flags & ZONE_MARK ? table.slab.mark(pkt.p) & 0xffff : info.zone;
          table.attachTemplate(pkt.p, { id, dir }, (template) => {
            if (info.helper !== '') template.helper = helperState(info.helper, ctx.proto);
            if (policy !== undefined) template.timeouts = policy.values;
            if (info.ctEvents !== 0) template.eventMask = info.ctEvents;
          });
          return XT_CONTINUE;
        },
        destroy: (undo) => {
          if (policy !== undefined) {
            policy.use--;
            undo(() => policy.use++);
          }
          release(undo);
        },
      };
    },
  };
}
export const CT_TARGETS: readonly XtTarget<CtTarget>[] = [ct(1), ct(2)];

const SET = 0;
const RESTORE = 2;

export const CONNMARK: XtTarget<ConnmarkTarget> = {
  name: 'CONNMARK',
  revision: 2,
  codec: connmarkTarget,
  make(info, ctx) {
    if (info.mode > RESTORE) throw new KernelError(EINVAL);
    const table = ctx.init.host.conntrack;
    const shift = (value: number): number => {
      if (info.shiftBits === 0) return value;
      if (info.shiftBits > 31) return 0;
      return info.shiftDir === 1 ? value >>> info.shiftBits : (value << info.shiftBits) >>> 0;
    };
    const release = holdConntrack(ctx.init);
    return {
      run: (pkt) => {
        const entry = table.of(pkt.p);
        if (entry === undefined || entry.template) return XT_CONTINUE;
        const { slab } = table;
        if (info.mode === RESTORE) {
          const mark = shift((entry.mark & info.ctmask) >>> 0);
          slab.setMark(pkt.p, ((slab.mark(pkt.p) & ~info.nfmask) ^ mark) >>> 0);
          return XT_CONTINUE;
        }
        const mark =
          info.mode === SET
            ? shift(((entry.mark & ~info.ctmask) ^ info.ctmark) >>> 0)
            : ((entry.mark & ~info.ctmask) ^ shift((slab.mark(pkt.p) & info.nfmask) >>> 0)) >>> 0;
        if (entry.mark !== mark) {
          entry.mark = mark;
          table.event(entry, IPCT_MARK);
        }
        return XT_CONTINUE;
      },
      destroy: release,
    };
  },
};
