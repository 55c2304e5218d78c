/**
 * `bpftool`: programs, maps and where programs are attached. See bpftool(8), bpftool-prog(8), bpftool-map(8), bpftool-net(8).
 *
 *     bpftool prog load drop.o          bpftool net attach xdp id 1 dev eth0
 *     bpftool map dump id 1             bpftool map update id 1 key 0 0 0 0 value hex 01 00 00 00
 */
import { strerror } from '../../core/errno.ts';
import { AttrWriter, attrMap, getU32 } from '../../wire/netlink/attr.ts';
import { emitIfInfo } from '../../wire/netlink/rtnetlink.ts';
import { MAP_TYPE_NAMES, PROG_TYPE_NAMES } from '../../wire/uapi/bpf.ts';
import type { BpfMapInfo, BpfTransport } from '../../wire/uapi/bpf-transport.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import { BpfToolError, check, loadAll, needBpf } from '../bpf-object.ts';
import type { ToolIo, ToolResult } from '../io.ts';
import { Context, IpError, type IpOptions } from '../ip/context.ts';
import { dumpLinks, name as linkName } from '../ip/link.ts';
import { NetlinkError } from '../netlink-client.ts';

const USAGE = `Usage: bpftool [ -j ] OBJECT COMMAND
  bpftool prog { show | list } [ id N | name NAME ]
  bpftool prog load FILE [ section SECTION | name NAME ]
  bpftool prog unload id N
  bpftool map { show | list } [ id N | name NAME ]
  bpftool map dump MAP
  bpftool map lookup MAP key DATA
  bpftool map update MAP key DATA value DATA [ any | exist | noexist ]
  bpftool map delete MAP key DATA
  bpftool net { show | list } [ dev DEV ]
  bpftool net attach { xdp | tcx_ingress | tcx_egress } id N dev DEV
  bpftool net detach { xdp | tcx_ingress | tcx_egress } [ id N ] dev DEV
MAP: { id N | name NAME }   DATA: [ hex ] BYTES, one number a byte
`;

class Usage extends Error {}

export function bpftool(argv: readonly string[], io: ToolIo): ToolResult {
  const words = argv.filter((w) => w !== '-j' && w !== '--json' && w !== '-p' && w !== '--pretty');
  const json = words.length !== argv.length;
  try {
    const [object, verb = 'show', ...rest] = words;
    if (object === undefined || object === 'help' || object === '--help' || object === '-h')
      return { code: 0, stdout: USAGE, stderr: '' };
    const bpf = needBpf(io);
    const args = new Words(rest);
    let stdout: string;
    if (object === 'prog') stdout = prog(bpf, io, verb, args, json);
    else if (object === 'map') stdout = map(bpf, verb, args, json);
    else if (object === 'net') stdout = net(bpf, io, verb, args, json);
    else throw new Usage(`netloom's bpftool does not know the object "${object}"`);
    return { code: 0, stdout, stderr: '' };
  } catch (error) {
    if (error instanceof Usage) return { code: 255, stdout: '', stderr: `Error: ${error.message}\n${USAGE}` };
    if (error instanceof BpfToolError) return { code: 255, stdout: '', stderr: `Error: ${error.message}\n` };
    if (error instanceof IpError) return { code: 255, stdout: '', stderr: error.message };
    if (error instanceof NetlinkError)
      return { code: 255, stdout: '', stderr: `Error: ${error.extack ?? strerror(error.errno)}\n` };
    throw error;
  }
}

class Words {
  readonly #words: readonly string[];
  #at = 0;
  constructor(words: readonly string[]) {
    this.#words = words;
  }
  get done(): boolean {
    return this.#at >= this.#words.length;
  }
  next(): string {
    if (this.done) throw new Usage('the command line is not complete');
    return this.#words[this.#at++];
  }
  accept(word: string): boolean {
    if (this.#words[this.#at] !== word) return false;
    this.#at++;
    return true;
  }
  number(): number {
    const text = this.next();
    if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) throw new Usage(`"${text}" is no number`);
    return Number(text);
  }
  /** Bytes up to the next keyword: decimal or 0x, or hex digits after `hex`. */
  bytes(size: number, what: string): Uint8Array {
    const hex = this.accept('hex');
    const out: number[] = [];
    while (out.length < size) {
      const text = this.next();
      const value = hex ? Number.parseInt(text, 16) : Number(text);
      if (!(hex ? /^[0-9a-f]{1,2}$/i : /^(0x[0-9a-f]+|\d+)$/i).test(text) || value > 255)
        throw new Usage(`"${text}" is no byte of the ${what} (${size} bytes are needed, ${out.length} came)`);
      out.push(value);
    }
    return Uint8Array.from(out);
  }
}

const hexOf = (bytes: Uint8Array): string => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join(' ');
const hexList = (bytes: Uint8Array): string[] => [...bytes].map((b) => `0x${b.toString(16).padStart(2, '0')}`);

function prog(bpf: BpfTransport, io: ToolIo, verb: string, args: Words, json: boolean): string {
  if (verb === 'load') {
    const file = args.next();
    const section = args.accept('section') ? args.next() : undefined;
    const program = args.accept('name') ? args.next() : undefined;
    const loaded = loadAll(io, file, { section, program });
    if (json) return `${JSON.stringify(loaded)}\n`;
    return loaded.map((p) => `${p.id}: ${PROG_TYPE_NAMES[p.type]}  name ${p.name}  section ${p.section}\n`).join('');
  }
  if (verb === 'unload') {
    args.accept('id');
    check(bpf.unload(args.number()), 'cannot unload');
    return '';
  }
  if (verb !== 'show' && verb !== 'list') throw new Usage(`bpftool prog: unknown command "${verb}"`);
  const chosen = choose(bpf.programs(), args);
  if (json)
    return `${JSON.stringify(
      chosen.map((p) => ({
        id: p.id,
        type: PROG_TYPE_NAMES[p.type],
        name: p.name,
        gpl_compatible: p.gpl,
        insns: p.insns,
        map_ids: p.maps,
      })),
    )}\n`;
  return chosen
    .map((p) => {
      const maps = p.maps.length === 0 ? '' : `  map_ids ${p.maps.join(',')}`;
      return `${p.id}: ${PROG_TYPE_NAMES[p.type]}  name ${p.name}${p.gpl ? '  gpl' : ''}\n\tinsns ${p.insns}${maps}\n`;
    })
    .join('');
}

function choose<T extends { readonly id: number; readonly name: string }>(
  all: readonly T[],
  args: Words,
): readonly T[] {
  if (args.done) return all;
  const byName = args.accept('name');
  if (!byName && !args.accept('id')) throw new Usage('expected "id N" or "name NAME"');
  const wanted = args.next();
  const found = all.filter((x) => (byName ? x.name === wanted : String(x.id) === wanted));
  if (found.length === 0) throw new BpfToolError(`there is none with ${byName ? 'name' : 'id'} ${wanted}`);
  return found;
}

function map(bpf: BpfTransport, verb: string, args: Words, json: boolean): string {
  if (verb === 'show' || verb === 'list') return printMaps(choose(bpf.maps(), args), json);
  const byName = args.accept('name');
  if (!byName && !args.accept('id')) throw new Usage('expected "id N" or "name NAME"');
  const wanted = args.next();
  const found = bpf.maps().filter((m) => (byName ? m.name === wanted : String(m.id) === wanted));
  if (found.length !== 1)
    throw new BpfToolError(
      `${found.length === 0 ? 'there is no map' : 'there are several maps'} with that ${byName ? 'name' : 'id'}: ${wanted}`,
    );
  const [info] = found;
  const key = (): Uint8Array => {
    if (!args.accept('key')) throw new Usage('expected "key DATA"');
    return args.bytes(info.keySize, 'key');
  };
  switch (verb) {
    case 'dump':
      return dump(bpf, info, json);
    case 'lookup': {
      const k = key();
      const value = bpf.lookup(info.id, k);
      if (typeof value === 'number') throw new BpfToolError(`key ${hexOf(k)}: ${strerror(-value)}`);
      return entries([[k, value]], json, false);
    }
    case 'update': {
      const k = key();
      if (!args.accept('value')) throw new Usage('expected "value DATA"');
      const value = args.bytes(info.valueSize, 'value');
      const flags = args.accept('noexist') ? 1 : args.accept('exist') ? 2 : 0;
      check(bpf.update(info.id, k, value, flags), 'update failed');
      return '';
    }
    case 'delete':
      check(bpf.delete(info.id, key()), 'delete failed');
      return '';
    default:
      throw new Usage(`bpftool map: unknown command "${verb}"`);
  }
}

function printMaps(maps: readonly BpfMapInfo[], json: boolean): string {
  if (json)
    return `${JSON.stringify(
      maps.map((m) => ({
        id: m.id,
        type: MAP_TYPE_NAMES[m.type],
        name: m.name,
        flags: m.flags,
        bytes_key: m.keySize,
        bytes_value: m.valueSize,
        max_entries: m.maxEntries,
        frozen: m.frozen ? 1 : 0,
      })),
    )}\n`;
  return maps
    .map(
      (m) =>
        `${m.id}: ${MAP_TYPE_NAMES[m.type]}  name ${m.name}  flags 0x${m.flags.toString(16)}${m.frozen ? '  frozen' : ''}\n` +
        `\tkey ${m.keySize}B  value ${m.valueSize}B  max_entries ${m.maxEntries}\n`,
    )
    .join('');
}

type Entry = readonly [key: Uint8Array, value: Uint8Array | number];

function dump(bpf: BpfTransport, info: BpfMapInfo, json: boolean): string {
  const all: Entry[] = [];
  for (let key = bpf.nextKey(info.id, undefined); typeof key !== 'number'; key = bpf.nextKey(info.id, key))
    all.push([key, bpf.lookup(info.id, key)]);
  return entries(all, json, true);
}

function entries(all: readonly Entry[], json: boolean, count: boolean): string {
  if (json)
    return `${JSON.stringify(
      all.map(([key, value]) => ({
        key: hexList(key),
        ...(typeof value === 'number' ? { error: strerror(-value) } : { value: hexList(value) }),
      })),
    )}\n`;
  const lines = all.map(([key, value]) => {
    const text = typeof value === 'number' ? `<${strerror(-value)}>` : hexOf(value);
    return `key: ${hexOf(key)}  value: ${text}\n`;
  });
  const found = all.filter(([, value]) => typeof value !== 'number').length;
  return lines.join('') + (count ? `Found ${found} element${found === 1 ? '' : 's'}\n` : '');
}

type Attached = { readonly dev: string; readonly kind: string; readonly id: number };

function net(bpf: BpfTransport, io: ToolIo, verb: string, args: Words, json: boolean): string {
  const options: IpOptions = {
    family: 0,
    json: false,
    pretty: false,
    brief: false,
    details: 0,
    stats: 0,
    oneline: false,
    numeric: false,
    force: false,
  };
  const ctx = new Context(options, io);
  if (verb === 'show' || verb === 'list') {
    const dev = args.accept('dev') ? args.next() : '';
    return printNet(
      bpf,
      attached(bpf, ctx).filter((a) => dev === '' || a.dev === dev),
      json,
    );
  }
  if (verb !== 'attach' && verb !== 'detach') throw new Usage(`bpftool net: unknown command "${verb}"`);
  const kind = args.next();
  let id = 0;
  let dev = '';
  while (!args.done) {
    const word = args.next();
    if (word === 'id') id = args.number();
    else if (word === 'dev') dev = args.next();
    else if (word === 'name') {
      const wanted = args.next();
      id = bpf.programs().find((p) => p.name === wanted)?.id ?? 0;
      if (id === 0) throw new BpfToolError(`there is no program with name ${wanted}`);
    } else if (word !== 'overwrite') throw new Usage(`bpftool net: unknown word "${word}"`);
  }
  if (dev === '') throw new Usage('expected "dev DEV"');
  const ifindex = ctx.needLink(dev);
  if (verb === 'attach' && id === 0) throw new Usage('expected "id N" or "name NAME"');
  if (kind === 'xdp' || kind === 'xdpgeneric' || kind === 'xdpdrv') setXdp(ctx, ifindex, verb === 'attach' ? id : -1);
  else if (kind === 'tcx_ingress' || kind === 'tcx_egress') {
    const egress = kind === 'tcx_egress';
    const programs = verb === 'attach' || id !== 0 ? [id] : bpf.tcx(ifindex, egress);
    for (const p of programs)
      check(
        verb === 'attach' ? bpf.attachTcx(ifindex, egress, p) : bpf.detachTcx(ifindex, egress, p),
        `${verb} ${kind}`,
      );
  } else throw new Usage(`bpftool net: cannot ${verb} "${kind}"`);
  return '';
}

function setXdp(ctx: Context, ifindex: number, id: number): void {
  const payload = new AttrWriter()
    .raw(emitIfInfo({ index: ifindex }))
    .nest(u.IFLA_XDP, (x) => x.u32(u.IFLA_XDP_FD, id >>> 0).u32(u.IFLA_XDP_FLAGS, 0))
    .finish();
  ctx.netlink.request(u.RTM_NEWLINK, 0, payload);
}

function attached(bpf: BpfTransport, ctx: Context): Attached[] {
  const out: Attached[] = [];
  for (const link of dumpLinks(ctx)) {
    const dev = linkName(link);
    const xdp = link.attrs.get(u.IFLA_XDP);
    const id = xdp === undefined ? undefined : attrMap(xdp.payload).get(u.IFLA_XDP_PROG_ID);
    if (id !== undefined) out.push({ dev, kind: 'xdp', id: getU32(id.payload) });
    for (const [egress, kind] of [
      [false, 'tcx/ingress'],
      [true, 'tcx/egress'],
    ] as const)
      for (const program of bpf.tcx(link.header.index, egress)) out.push({ dev, kind, id: program });
  }
  return out;
}

function printNet(bpf: BpfTransport, all: readonly Attached[], json: boolean): string {
  const names = new Map(bpf.programs().map((p) => [p.id, p.name]));
  if (json)
    return `${JSON.stringify(all.map((a) => ({ devname: a.dev, kind: a.kind, name: names.get(a.id), id: a.id })))}\n`;
  return all.map((a) => `${a.dev} ${a.kind} ${names.get(a.id) ?? ''} id ${a.id}\n`).join('');
}
