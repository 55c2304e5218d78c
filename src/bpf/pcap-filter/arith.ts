/** Arithmetic: `ip[2:2] - ((ip[0] & 0xf) << 2) > 20`. */
import { BPF_JEQ, BPF_JGE, BPF_JGT } from '../insn.ts';
import type { Arith, ArithOp, Expr } from './ast.ts';
import {
  and,
  beyond,
  type Cond,
  constant,
  equal,
  ip4HeaderLength,
  not,
  type Offset,
  type Step,
  sizeBits,
  test,
} from './cond.ts';
import { ETHERTYPE_IP, ETHERTYPE_IPV6, hasLinkHeader, LINKTYPE_IEEE802_11_RADIOTAP, network } from './link.ts';
import { ETHER_PROTOS, firstFragment, IP_PROTOS, IPPROTO_ICMPV6, protocolKeyword } from './proto.ts';
import type { Scope } from './scope.ts';

/** Steps that leave a value in A, and what must hold before they may run. */
type Value = { readonly steps: readonly Step[]; readonly guard: Cond | undefined; readonly fixed: number | undefined };

const CODES: ReadonlyMap<ArithOp, number> = new Map([
  ['+', 0x00],
  ['-', 0x10],
  ['*', 0x20],
  ['/', 0x30],
  ['|', 0x40],
  ['&', 0x50],
  ['<<', 0x60],
  ['>>', 0x70],
  ['%', 0x90],
  ['^', 0xa0],
]);
const COMMUTES: ReadonlySet<ArithOp> = new Set(['+', '*', '|', '&', '^']);

const both = (a: Cond | undefined, b: Cond | undefined): Cond | undefined =>
  a === undefined ? b : b === undefined ? a : and(a, b);

function fold(op: ArithOp, a: number, b: number): number {
  switch (op) {
    case '+':
      return (a + b) >>> 0;
    case '-':
      return (a - b) >>> 0;
    case '*':
      return Math.imul(a, b) >>> 0;
    case '/':
      return Math.floor(a / b);
    case '%':
      return a % b;
    case '&':
      return (a & b) >>> 0;
    case '|':
      return (a | b) >>> 0;
    case '^':
      return (a ^ b) >>> 0;
    case '<<':
      return (a << b) >>> 0;
    default:
      return a >>> b;
  }
}

const fixedValue = (value: number): Value => ({ steps: [constant(value)], guard: undefined, fixed: value >>> 0 });

/** Largest offset that is one: those from 2^31 up mean other things to the machine. */
const MAX_OFFSET = 0x7fff_ffff;

/** A = the bytes at `base` + index. */
function loadAt(base: Offset, index: Value, size: number): Step[] {
  const bits = sizeBits(size);
  if (index.fixed !== undefined && base.k + index.fixed <= MAX_OFFSET) {
    const k = base.k + index.fixed;
    return base.slot === undefined
      ? [[0x20 | bits, k]]
      : [
          [0x61, base.slot],
          [0x40 | bits, k],
        ];
  }
  if (base.slot === undefined) return [...index.steps, [0x07, 0], [0x40 | bits, base.k]];
  return [...index.steps, [0x61, base.slot], [0x0c, 0], [0x07, 0], [0x40 | bits, base.k]];
}

/** A = the bytes index behind the IPv4 header. */
function loadBehind(header: Offset, index: Value, size: number): Step[] {
  const bits = sizeBits(size);
  const length = ip4HeaderLength(header);
  if (index.fixed !== undefined && header.k + index.fixed <= MAX_OFFSET)
    return [...length, [0x40 | bits, header.k + index.fixed]];
  // The way to X is through A when the header lies at no fixed place.
  if (header.slot === undefined) return [...index.steps, ...length, [0x0c, 0], [0x07, 0], [0x40 | bits, header.k]];
  return [];
}

function accessor(scope: Scope, e: Extract<Arith, { kind: 'load' }>): Value {
  const { link } = scope;
  const index = value(scope, e.index);
  const header = network(link);
  const result = (steps: readonly Step[], guard: Cond | undefined): Value => ({
    steps,
    guard: both(index.guard, guard),
    fixed: undefined,
  });
  if (e.proto === 'radio') {
    if (link.type !== LINKTYPE_IEEE802_11_RADIOTAP) scope.fail('radio information not present in capture', e);
    return result(loadAt({ slot: undefined, k: 0 }, index, e.size), undefined);
  }
  if (e.proto === 'link') return result(loadAt(link.header, index, e.size), hasLinkHeader(link));
  if (ETHER_PROTOS.has(e.proto)) {
    return result(loadAt(header, index, e.size), protocolKeyword(scope, e.proto, e));
  }
  if (e.proto === 'icmp6') {
    const guard = and(scope.protocol(ETHERTYPE_IPV6, e), equal(beyond(header, 6), 1, IPPROTO_ICMPV6));
    return result(loadAt(beyond(header, 40), index, e.size), guard);
  }
  const ip = IP_PROTOS.get(e.proto);
  if (ip === undefined) return scope.fail(`there is no index into ${e.proto}`, e);
  // Upper protocols are looked at in IPv4 packets alone, and in first fragments alone.
  const isProto = equal(beyond(header, 9), 1, ip[0]);
  const guard = and(scope.protocol(ETHERTYPE_IP, e), and(isProto, firstFragment(scope)));
  if (index.fixed === undefined && header.slot !== undefined) {
    const word = scope.takeWord(e);
    const steps: Step[] = [
      ...index.steps,
      [0x02, word],
      ...ip4HeaderLength(header),
      [0x60, word],
      [0x0c, 0],
      [0x07, 0],
    ];
    scope.giveWord();
    return result([...steps, [0x40 | sizeBits(e.size), header.k]], guard);
  }
  return result(loadBehind(header, index, e.size), guard);
}

function binary(scope: Scope, e: Extract<Arith, { kind: 'binary' }>): Value {
  const found = sides(scope, e.left, e.right);
  let { left, right } = found;
  const code = 0x04 | (CODES.get(e.op) ?? 0);
  if (right.fixed === 0 && (e.op === '/' || e.op === '%'))
    scope.fail(e.op === '/' ? 'division by zero' : 'modulus by zero', e.right);
  if (right.fixed !== undefined && right.fixed > 31 && (e.op === '<<' || e.op === '>>'))
    scope.fail('shift by more than 31 bits', e.right);
  if (left.fixed !== undefined && right.fixed !== undefined) return fixedValue(fold(e.op, left.fixed, right.fixed));
  if (left.fixed !== undefined && COMMUTES.has(e.op)) [left, right] = [right, left];
  // As in libpcap, the protocols that the right side's bytes belong to are not asked for: "ip[2:2] - tcp[12]" is
  // computed of every IPv4 packet. The two sides of a comparison both count.
  const { guard } = found.left;
  if (right.fixed !== undefined) return { steps: [...left.steps, [code, right.fixed]], guard, fixed: undefined };
  return { steps: [...withX(left.steps, right.steps, found.word), [code | 8, 0]], guard, fixed: undefined };
}

/** A = left, X = right; both may use both registers, `word` holds the left one meanwhile. */
const withX = (left: readonly Step[], right: readonly Step[], word: number): Step[] => [
  ...left,
  [0x02, word],
  ...right,
  [0x07, 0],
  [0x60, word],
];

/** Both sides; the word is not used by the right one. */
function sides(scope: Scope, leftSide: Arith, rightSide: Arith): { left: Value; right: Value; word: number } {
  const left = value(scope, leftSide);
  if (rightSide.kind === 'number') return { left, right: value(scope, rightSide), word: -1 };
  const word = scope.takeWord(rightSide);
  const right = value(scope, rightSide);
  scope.giveWord();
  return { left, right, word };
}

function value(scope: Scope, e: Arith): Value {
  switch (e.kind) {
    case 'number':
      return fixedValue(e.value);
    case 'len':
      return { steps: [[0x80, 0]], guard: undefined, fixed: undefined };
    case 'neg': {
      const operand = value(scope, e.operand);
      if (operand.fixed !== undefined) return fixedValue(-operand.fixed);
      return { ...operand, steps: [...operand.steps, [0x84, 0]] };
    }
    case 'binary':
      return binary(scope, e);
    default:
      return accessor(scope, e);
  }
}

/** `expr relop expr`. */
export function relation(scope: Scope, e: Extract<Expr, { kind: 'relation' }>): Cond {
  const { left, right, word } = sides(scope, e.left, e.right);
  const steps = right.fixed === undefined ? withX(left.steps, right.steps, word) : left.steps;
  const compare = (op: number): Cond => test(steps, op, right.fixed ?? 'x');
  const result = {
    '=': () => compare(BPF_JEQ),
    '!=': () => not(compare(BPF_JEQ)),
    '>': () => compare(BPF_JGT),
    '>=': () => compare(BPF_JGE),
    '<': () => not(compare(BPF_JGE)),
    '<=': () => not(compare(BPF_JGT)),
  }[e.op]();
  const guard = both(left.guard, right.guard);
  return guard === undefined ? result : and(guard, result);
}
