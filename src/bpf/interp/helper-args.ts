/**
 * The arguments of a helper call, checked as the helper will use them: memory of the size told, keys and values of the
 * map, the context itself. A verified program never fails here; what fails is a hole in the verifier's rules for calls.
 */
import { MAP_ID } from '../maps/layout.ts';
import { BadAccess } from '../runtime/regions.ts';
import type { Run } from '../runtime/run.ts';
import { type Arg, helperProto } from '../verifier/helper-table.ts';
import type { CheckedMemory } from './memory.ts';

/** Bytes behind pointers whose kind says how many. A ring buffer's record may be empty. */
const SIZES: Readonly<Partial<Record<Arg['kind'], number>>> = { dynptr: 16, timer: 16, spin_lock: 4, ringbuf_mem: 0 };

/** The map that an argument names; it must be one of the machine's. */
function mapAt(run: Run, address: bigint) {
  const at = Number(address);
  const id = at + MAP_ID * 4;
  const map = at % 4 === 0 && id + 4 <= run.u8.length ? run.machine.maps[run.dv.getUint32(id, true)] : undefined;
  if (map?.address !== at) throw new BadAccess('a map', at, 4);
  return map;
}

/** Checks r1 to r5 against the prototype of helper `id`. `functions` is the number of the program's subprograms. */
export function checkArgs(run: Run, memory: CheckedMemory, id: number, regs: BigUint64Array, functions: number): void {
  const proto = helperProto(id, run.progType);
  if (proto === undefined) return;
  let map: ReturnType<typeof mapAt> | undefined;
  for (const [i, arg] of proto.args.entries()) {
    const value = regs[i + 1];
    if (arg.nullable === true && value === 0n) continue;
    switch (arg.kind) {
      case 'map':
        map = mapAt(run, value);
        break;
      case 'ctx':
        if (Number(value) !== run.ctx) throw new BadAccess('a context', Number(value), 1);
        break;
      case 'func':
        if (value < 1n || value > BigInt(functions)) throw new BadAccess('a function', Number(value), 1);
        break;
      case 'key':
        if (map !== undefined && map.keySize > 0) memory.check(value, map.keySize, false);
        break;
      case 'value':
        if (map !== undefined && map.valueSize > 0) memory.check(value, map.valueSize, arg.write === true);
        break;
      case 'mem': {
        const size = arg.fixed ?? (proto.args[i + 1]?.kind === 'size' ? Number(BigInt.asUintN(32, regs[i + 2])) : 0);
        if (size > 0) memory.check(value, size, arg.write === true);
        break;
      }
      default: {
        const size = SIZES[arg.kind];
        if (size !== undefined) memory.check(value, size, arg.readOnly !== true);
      }
    }
  }
}
