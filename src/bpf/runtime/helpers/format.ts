/**
 * The format strings of bpf_trace_printk, bpf_trace_vprintk and bpf_snprintf: the kernel's checks, and its printf
 * (Documentation/core-api/printk-formats.rst) for what they let through.
 */
import { EINVAL } from '../../../core/errno.ts';

/** Arguments as [low, high] words. */
export type FormatArgs = readonly (readonly [number, number])[];

/** Memory that %s and %pI4 read from. */
export type FormatMemory = { string(address: number): string; bytes(address: number, size: number): Uint8Array };

type Spec = {
  flags: string;
  width: number;
  /** Bytes of an integer: 4 or 8. */
  size: number;
  /** d u x X i c s p, or a pointer form such as pI4. */
  conversion: string;
};

const PRINTABLE = /^[\t-\r -~]*$/;
const SPEC = /^([0+\- ]*)([1-9]\d*)?/;
const BREAK = /^($|[\s!-/:-@[-`{-~])/;

/** Reads one conversion behind `%`: what it is and how long, undefined when the kernel refuses it. */
function parseSpec(rest: string): { spec: Spec; length: number } | undefined {
  const head = SPEC.exec(rest);
  const prefix = head?.[0] ?? '';
  const spec: Spec = { flags: head?.[1] ?? '', width: Number(head?.[2] ?? 0), size: 4, conversion: '' };
  let at = prefix.length;
  const done = (conversion: string, length: number) => ({ spec: { ...spec, conversion }, length: at + length });
  const tail = rest.slice(at);
  if (tail[0] === 'p') {
    spec.size = 8;
    if (/^p[ku]s/.test(tail)) return BREAK.test(tail.slice(3)) ? done('s', 3) : undefined;
    if (/^p[iI][46]/.test(tail)) return done(tail.slice(0, 3), 3);
    if (/^p[KxsSB]/.test(tail)) return done(tail.slice(0, 2), 2);
    return BREAK.test(tail.slice(1)) ? done('p', 1) : undefined;
  }
  if (tail[0] === 's') return BREAK.test(tail.slice(1)) ? done('s', 1) : undefined;
  if (tail[0] === 'c') return done('c', 1);
  for (let i = 0; i < 2 && rest[at] === 'l'; i++) {
    spec.size = 8;
    at++;
  }
  return /[iduxX]/.test(rest[at] ?? '') ? done(rest[at], 1) : undefined;
}

function pad(text: string, spec: Spec, zeros: boolean): string {
  if (text.length >= spec.width) return text;
  if (spec.flags.includes('-')) return text.padEnd(spec.width);
  if (!zeros) return text.padStart(spec.width);
  const sign = /^[+\- ]/.exec(text)?.[0] ?? '';
  return sign + text.slice(sign.length).padStart(spec.width - sign.length, '0');
}

function address(bytes: Uint8Array, form: string): string {
  if (form[2] === '4') {
    // %pi4 pads with zeros, %pI4 does not.
    return [...bytes].map((b) => (form[1] === 'i' ? String(b).padStart(3, '0') : String(b))).join('.');
  }
  const words = Array.from({ length: 8 }, (_, i) =>
    ((bytes[i * 2] << 8) | bytes[i * 2 + 1]).toString(16).padStart(4, '0'),
  );
  return words.join(form[1] === 'i' ? '' : ':');
}

function render(spec: Spec, [low, high]: readonly [number, number], memory: FormatMemory): string {
  const value = spec.size === 8 ? (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0) : BigInt(low >>> 0);
  const zeros = spec.flags.includes('0') && !spec.flags.includes('-');
  switch (spec.conversion) {
    case 'd':
    case 'i': {
      const signed = BigInt.asIntN(spec.size * 8, value);
      const sign = signed < 0n ? '' : spec.flags.includes('+') ? '+' : spec.flags.includes(' ') ? ' ' : '';
      return pad(sign + signed.toString(), spec, zeros);
    }
    case 'u':
      return pad(value.toString(), spec, zeros);
    case 'x':
      return pad(value.toString(16), spec, zeros);
    case 'X':
      return pad(value.toString(16).toUpperCase(), spec, zeros);
    case 'c':
      return pad(String.fromCharCode(low & 0xff), spec, false);
    case 's':
      return pad(memory.string(low >>> 0), spec, false);
    case 'pi4':
    case 'pI4':
    case 'pi6':
    case 'pI6':
      return pad(
        address(memory.bytes(low >>> 0, spec.conversion.endsWith('4') ? 4 : 16), spec.conversion),
        spec,
        false,
      );
    case 'px':
      return pad(value.toString(16).padStart(16, '0'), spec, false);
    default:
      // Plain pointers are hashed in Linux so that logs do not leak addresses; here they are offsets anyway.
      return pad(value.toString(16).padStart(16, '0'), spec, false);
  }
}

/** The text, or -EINVAL for a format that the kernel refuses or that wants more arguments than there are. */
export function format(text: string, args: FormatArgs, memory: FormatMemory): string | number {
  if (!PRINTABLE.test(text)) return -EINVAL;
  let out = '';
  let used = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== '%') {
      out += text[i];
      continue;
    }
    if (text[i + 1] === '%') {
      out += '%';
      i++;
      continue;
    }
    const found = parseSpec(text.slice(i + 1));
    if (used >= args.length || found === undefined) return -EINVAL;
    out += render(found.spec, args[used++], memory);
    i += found.length;
  }
  return out;
}
