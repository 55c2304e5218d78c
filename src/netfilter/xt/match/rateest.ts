/** Match `rateest`: compares the rates of estimators that RATEEST targets feed. */
import { EINVAL, ENOENT, KernelError } from '../../../core/errno.ts';
import * as R from '../../../wire/xt/rateest.ts';
import { XT_NO, XT_YES, type XtMatch } from '../extension.ts';
import { hold } from '../state.ts';

const COMPARE: Readonly<Record<number, (a: number, b: number) => boolean>> = {
  [R.RATEEST_EQ]: (a, b) => a === b,
  [R.RATEEST_LT]: (a, b) => a < b,
  [R.RATEEST_GT]: (a, b) => a > b,
};

export const rateest: XtMatch<R.Rateest> = {
  name: 'rateest',
  revision: 0,
  codec: R.rateest,
  make(info, ctx) {
    const absolute = (info.flags & R.RATEEST_ABS) !== 0;
    const relative = (info.flags & R.RATEEST_REL) !== 0;
    const compare = COMPARE[info.mode];
    if (absolute === relative || !(info.flags & (R.RATEEST_BPS | R.RATEEST_PPS)) || compare === undefined)
      throw new KernelError(EINVAL);
    const first = ctx.state.rateest.get(info.name1);
    const second = relative ? ctx.state.rateest.get(info.name2) : undefined;
    if (first === undefined || (relative && second === undefined)) throw new KernelError(ENOENT);
    const releases = [hold(ctx.state.rateest, info.name1, first)];
    if (second !== undefined) releases.push(hold(ctx.state.rateest, info.name2, second));
    const { world } = ctx.init.host;
    const delta = (info.flags & R.RATEEST_DELTA) !== 0;
    const side = (given: number, measured: number): number => (delta ? Math.max(0, given - measured) : measured);
    const invert = (info.flags & R.RATEEST_INVERT) !== 0;
    return {
      run() {
        first.catchUp(world.now);
        second?.catchUp(world.now);
        let answer = true;
        if (info.flags & R.RATEEST_BPS)
          answer &&= compare(
            side(info.bps1, first.bps),
            second === undefined ? info.bps2 : side(info.bps2, second.bps),
          );
        if (info.flags & R.RATEEST_PPS)
          answer &&= compare(
            side(info.pps1, first.pps),
            second === undefined ? info.pps2 : side(info.pps2, second.pps),
          );
        return answer !== invert ? XT_YES : XT_NO;
      },
      destroy(undo) {
        for (const release of releases) release(undo);
      },
    };
  },
};
