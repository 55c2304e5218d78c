/**
 * `bpftool`: programs, maps and where programs are attached. See bpftool(8), bpftool-prog(8), bpftool-map(8), bpftool-net(8).
 *
 *     bpftool prog load drop.o          bpftool net attach xdp id 1 dev eth0
 *     bpftool map dump id 1             bpftool map update id 1 key 0 0 0 0 value hex 01 00 00 00
 */
import { strerror } from '../../core/errno.ts';
import { AttrWriter, attrMap, getU32 } from '../../wire/netlink/attr.ts';
import { emitIfInfo } from '../../wire/netlink/rtnetlink.ts';
import { PROG_TYPE_NAMES } from '../../wire/uapi/bpf.ts';
import type { BpfTransport } from '../../wire/uapi/bpf-transport.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import { BpfToolError, check, loadAll, needBpf } from '../bpf-object.ts';
import type { ToolIo, ToolResult } from '../io.ts';
import { Context, IpError, PLAIN } from '../ip/context.ts';
import { dumpLinks, name as linkName } from '../ip/link.ts';
import { Keywords, UsageError } from '../keywords.ts';
import { NetlinkError } from '../netlink-client.ts';

const USAGE = `Usage: bpftool [ -j ] OBJECT COMMAND
  bpftool prog { show | list } [ id N | name NAME ]
  bpftool prog load FILE [ section SECTION | name NAME ]
  bpftool prog unload id N
  bpftool map { show | list | dump | lookup | update | delete | ... } (bpftool map help)
  bpftool net { show | list } [ dev DEV ]
  bpftool net attach { xdp | tcx_ingress | tcx_egress } id N dev DEV
  bpftool net detach { xdp | tcx_ingress | tcx_egress } [ id N ] dev DEV
`;

export function bpftool(argv: readonly string[], io: ToolIo): ToolResult {
  // Options stand in front of the object.
  const first = argv.findIndex((w) => !w.startsWith('-') || w === '-h' || w === '--help');
  const options = first < 0 ? argv : argv.slice(0, first);
  const words = first < 0 ? [] : argv.slice(first);
  const pretty = options.includes('-p') || options.includes('--pretty');
  const json = pretty || options.includes('-j') || options.includes('--json');
  try {
    const [object, verb = 'show', ...rest] = words;
    if (object === undefined || object === 'help' || object === '--help' || object === '-h')
      return { code: 0, stdout: USAGE, stderr: '' };
    const bpf = needBpf(io);
    const args = new Keywords(rest);
    let stdout: string;
    if (object === 'prog') stdout = prog(bpf, io, verb, args, json);
    else if (object === 'map') return bpf.map([verb, ...rest], { json, pretty });
    else if (object === 'net') stdout = net(bpf, io, verb, args, json);
    else throw new UsageError(`netloom's bpftool does not know the object "${object}"`);
    return { code: 0, stdout, stderr: '' };
  } catch (error) {
    if (error instanceof UsageError) return { code: 255, stdout: '', stderr: `Error: ${error.message}\n${USAGE}` };
    if (error instanceof BpfToolError) return { code: 255, stdout: '', stderr: `Error: ${error.message}\n` };
    if (error instanceof IpError) return { code: 255, stdout: '', stderr: error.message };
    if (error instanceof NetlinkError)
      return { code: 255, stdout: '', stderr: `Error: ${error.extack ?? strerror(error.errno)}\n` };
    throw error;
  }
}

function prog(bpf: BpfTransport, io: ToolIo, verb: string, args: Keywords, json: boolean): string {
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
  if (verb !== 'show' && verb !== 'list') throw new UsageError(`bpftool prog: unknown command "${verb}"`);
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
  args: Keywords,
): readonly T[] {
  if (args.done) return all;
  const byName = args.accept('name');
  if (!byName && !args.accept('id')) throw new UsageError('expected "id N" or "name NAME"');
  const wanted = args.next();
  const found = all.filter((x) => (byName ? x.name === wanted : String(x.id) === wanted));
  if (found.length === 0) throw new BpfToolError(`there is none with ${byName ? 'name' : 'id'} ${wanted}`);
  return found;
}

type Attached = { readonly dev: string; readonly kind: string; readonly id: number };

function net(bpf: BpfTransport, io: ToolIo, verb: string, args: Keywords, json: boolean): string {
  const ctx = new Context({ ...PLAIN }, io);
  if (verb === 'show' || verb === 'list') {
    const dev = args.accept('dev') ? args.next() : '';
    return printNet(
      bpf,
      attached(bpf, ctx).filter((a) => dev === '' || a.dev === dev),
      json,
    );
  }
  if (verb !== 'attach' && verb !== 'detach') throw new UsageError(`bpftool net: unknown command "${verb}"`);
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
    } else if (word !== 'overwrite') throw new UsageError(`bpftool net: unknown word "${word}"`);
  }
  if (dev === '') throw new UsageError('expected "dev DEV"');
  const ifindex = ctx.needLink(dev);
  if (verb === 'attach' && id === 0) throw new UsageError('expected "id N" or "name NAME"');
  if (kind === 'xdp' || kind === 'xdpgeneric' || kind === 'xdpdrv') setXdp(ctx, ifindex, verb === 'attach' ? id : -1);
  else if (kind === 'tcx_ingress' || kind === 'tcx_egress') {
    const egress = kind === 'tcx_egress';
    const programs = verb === 'attach' || id !== 0 ? [id] : bpf.tcx(ifindex, egress);
    for (const p of programs)
      check(
        verb === 'attach' ? bpf.attachTcx(ifindex, egress, p) : bpf.detachTcx(ifindex, egress, p),
        `${verb} ${kind}`,
      );
  } else throw new UsageError(`bpftool net: cannot ${verb} "${kind}"`);
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
