/** Numbers with units: rates, byte counts. */
import type { LimitStmt } from '../ast.ts';
import type { Parser } from './core.ts';

const SECONDS: Readonly<Record<string, bigint>> = {
  second: 1n,
  minute: 60n,
  hour: 3600n,
  day: 86_400n,
  week: 604_800n,
};
const BYTES: Readonly<Record<string, bigint>> = { bytes: 1n, kbytes: 1024n, mbytes: 1024n * 1024n };

/** `NUM bytes|kbytes|mbytes` */
export function byteCount(p: Parser): bigint {
  const value = p.bigNumber();
  const unit = BYTES[p.peek().text];
  if (unit === undefined) p.unexpected('string');
  p.next();
  return value * unit;
}

export function isByteUnit(p: Parser): boolean {
  return BYTES[p.peek().text] !== undefined;
}

/** `rate [over|until] NUM[unit]/TIME [burst NUM packets|unit]` */
export function limitArgs(p: Parser): LimitStmt {
  const first = p.peek();
  p.expect('rate');
  const over = p.accept('over');
  if (!over) p.accept('until');
  let rate = p.bigNumber();
  let bytes = false;
  // `kbytes/second` is one word to the lexer.
  const [size, per] = p.peek().text.split('/', 2);
  let unit: bigint | undefined;
  if (p.peek().kind === 'word' && per !== undefined && BYTES[size] !== undefined) {
    rate *= BYTES[size];
    bytes = true;
    unit = SECONDS[per];
    if (unit === undefined) p.unexpected();
    p.next();
  } else {
    if (isByteUnit(p)) {
      rate *= BYTES[p.next().text];
      bytes = true;
    }
    p.expect('/');
    unit = SECONDS[p.peek().text];
    if (unit === undefined) p.unexpected();
    p.next();
  }
  let burst = bytes ? 0n : 5n;
  if (p.accept('burst')) {
    const burstToken = p.peek();
    burst = p.bigNumber();
    if (bytes) {
      if (!isByteUnit(p)) p.unexpected('bytes or string');
      burst *= BYTES[p.next().text];
    } else if (isByteUnit(p)) p.fail(burstToken, 'syntax error, unexpected bytes, expecting packets');
    else p.accept('packets');
    if (burst > 0xffffffffn) p.fail(burstToken, 'limit burst must be > 0 and fit 32 bits');
  }
  return { kind: 'limit', rate, unit: unit!, burst: Number(burst), type: bytes ? 1 : 0, over, loc: p.since(first) };
}

/** `[over|until] NUM unit [used NUM unit]` */
export function quotaArgs(p: Parser): { bytes: bigint; used: bigint; over: boolean } {
  const over = p.accept('over');
  if (!over) p.accept('until');
  const bytes = byteCount(p);
  return { bytes, used: p.accept('used') ? byteCount(p) : 0n, over };
}

/** `mss N`, `wscale N`, `timestamp`, `sack-perm` in any order. */
export function synproxyArgs(
  p: Parser,
  between: () => void = () => {},
): { mss: number; wscale: number; flags: number } {
  let mss = 0;
  let wscale = 0;
  let flags = 0;
  for (;;) {
    between();
    if (p.accept('mss')) {
      mss = p.number();
      flags |= 1;
    } else if (p.accept('wscale')) {
      wscale = p.number();
      flags |= 2;
    } else if (p.accept('sack-perm')) flags |= 4;
    else if (p.accept('timestamp')) flags |= 8;
    else return { mss, wscale, flags };
  }
}
