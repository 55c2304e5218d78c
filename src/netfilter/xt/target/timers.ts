/** Targets that keep something running beside the packets: RATEEST, IDLETIMER, LED. */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { type IdletimerTarget, idletimerTarget } from '../../../wire/xt/idletimer-target.ts';
import { type LedTarget, ledTarget } from '../../../wire/xt/led-target.ts';
import { type RateestTarget, rateestTarget } from '../../../wire/xt/rateest-target.ts';
import { Estimator } from '../estimator.ts';
import { XT_CONTINUE, type XtTarget } from '../extension.ts';
import { hold, type IdleTimer } from '../state.ts';

const signed = (byte: number): number => (byte << 24) >> 24;

export const RATEEST: XtTarget<RateestTarget> = {
  name: 'RATEEST',
  revision: 0,
  codec: rateestTarget,
  make(info, ctx) {
    const { world } = ctx.init.host;
    const interval = signed(info.interval);
    if (info.name === '' || interval < -2 || interval > 3 || info.ewmaLog === 0 || info.ewmaLog >= 31)
      throw new KernelError(EINVAL);
    const { rateest } = ctx.state;
    const found = rateest.get(info.name);
    // Rules that share an estimator must agree about it.
    if (found !== undefined && (found.interval !== interval || found.ewmaLog !== info.ewmaLog))
      throw new KernelError(EINVAL);
    const estimator = found ?? new Estimator(interval, info.ewmaLog, world.now);
    return {
      run(pkt) {
        estimator.count(pkt.slab.end(pkt.p) - pkt.nhoff, world.now);
        return XT_CONTINUE;
      },
      destroy: hold(rateest, info.name, estimator),
    };
  },
};

const TIMEOUT_MAX = 2147483;

export const IDLETIMER: XtTarget<IdletimerTarget> = {
  name: 'IDLETIMER',
  revision: 1,
  codec: idletimerTarget,
  make(info, ctx) {
    const { world } = ctx.init.host;
    if (info.sendNlMsg !== 0) throw new KernelError(EOPNOTSUPP);
    if (info.timeout === 0 || info.timeout >= TIMEOUT_MAX || info.label === '' || info.alarm > 1)
      throw new KernelError(EINVAL);
    const { idleTimers } = ctx.state;
    const found = idleTimers.get(info.label);
    if (found !== undefined && found.alarm !== (info.alarm === 1)) throw new KernelError(EINVAL);
    const timer: IdleTimer = found ?? { expires: 0, alarm: info.alarm === 1, users: 0 };
    const wind = (): void => {
      timer.expires = world.now + info.timeout * 1e9;
    };
    wind();
    return {
      run() {
        wind();
        return XT_CONTINUE;
      },
      destroy: hold(idleTimers, info.label, timer),
    };
  },
};

/** A host of the lab has no lights: the trigger is there, and nothing listens to it. */
export const LED: XtTarget<LedTarget> = {
  name: 'LED',
  revision: 0,
  codec: ledTarget,
  make(info) {
    if (info.id === '') throw new KernelError(EINVAL, "No 'id' parameter given.");
    return () => XT_CONTINUE;
  },
};
