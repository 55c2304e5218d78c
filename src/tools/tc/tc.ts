/**
 * `tc`: the clsact qdisc and its bpf filters. See tc(8), tc-bpf(8).
 *
 *     tc qdisc add dev eth0 clsact
 *     tc filter add dev eth0 ingress bpf da obj prog.o sec tc
 */
import { strerror } from '../../core/errno.ts';
import { AttrWriter, attrMap, getString, getU32 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import { BPF_PROG_TYPE_SCHED_CLS } from '../../wire/uapi/bpf.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../../wire/uapi/netlink.ts';
import * as tcs from '../../wire/uapi/pkt-sched.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import { BpfToolError, loadOne } from '../bpf-object.ts';
import type { ToolIo, ToolResult } from '../io.ts';
import { Context, IpError, PLAIN } from '../ip/context.ts';
import { Keywords, UsageError } from '../keywords.ts';
import { NetlinkError } from '../netlink-client.ts';

const USAGE = `Usage: tc [ -j ] { qdisc | filter } { add | replace | delete | show } dev DEV ...
       tc qdisc add dev DEV clsact
       tc filter add dev DEV { ingress | egress } [ protocol PROTO ] [ pref N ] [ handle N ]
                 bpf [ direct-action ] { obj FILE [ sec SECTION | program NAME ] | id N }
`;

const PROTOCOLS: Readonly<Record<string, number>> = { all: 3, ip: 0x0800, ipv6: 0x86dd, arp: 0x0806, '802.1q': 0x8100 };

export function tc(argv: readonly string[], io: ToolIo): ToolResult {
  let json = false;
  const words: string[] = [];
  for (const word of argv) {
    if (word === '-j' || word === '-json') json = true;
    else if (word === '-p' || word === '-pretty' || word === '-d' || word === '-s') continue;
    else words.push(word);
  }
  const ctx = new Context({ ...PLAIN, json }, io);
  try {
    const [object, ...rest] = words;
    if (object === 'qdisc') return { code: 0, stdout: qdisc(ctx, rest, json), stderr: '' };
    if (object === 'filter') return { code: 0, stdout: filter(ctx, rest, json), stderr: '' };
    if (object === undefined || object === 'help' || object === '-h') return { code: 0, stdout: USAGE, stderr: '' };
    return { code: 1, stdout: '', stderr: `Object "${object}" is unknown to netloom's tc, try "tc help".\n` };
  } catch (error) {
    if (error instanceof UsageError) return { code: 1, stdout: '', stderr: `${error.message}\n${USAGE}` };
    if (error instanceof BpfToolError) return { code: 1, stdout: '', stderr: `Error: ${error.message}\n` };
    if (error instanceof IpError) return { code: 1, stdout: '', stderr: error.message };
    if (error instanceof NetlinkError) {
      const first = error.extack === undefined ? '' : `Error: ${error.extack}.\n`;
      const second = error.extack === undefined ? `RTNETLINK answers: ${strerror(error.errno)}\n` : '';
      return { code: 2, stdout: '', stderr: `${first}${second}` };
    }
    throw error;
  }
}

function header(ifindex: number, handle: number, parent: number, info: number): Uint8Array {
  const bytes = new Uint8Array(tcs.TCMSG_LENGTH);
  const dv = new DataView(bytes.buffer);
  dv.setInt32(4, ifindex, true);
  dv.setUint32(8, handle, true);
  dv.setUint32(12, parent, true);
  dv.setUint32(16, info, true);
  return bytes;
}

function qdisc(ctx: Context, argv: readonly string[], json: boolean): string {
  const [verb = 'show', ...rest] = argv;
  const words = new Keywords(rest);
  let dev = '';
  let kind = '';
  while (!words.done) {
    const word = words.next();
    if (word === 'dev') dev = words.next();
    else if (word === 'handle' || word === 'parent') words.next();
    else if (word !== 'root') kind = word;
  }
  const ifindex = dev === '' ? 0 : ctx.needLink(dev);
  if (verb === 'show' || verb === 'list' || verb === 'ls') {
    const messages = ctx.netlink.dump(u.RTM_GETQDISC, header(ifindex, 0, 0, 0));
    return printQdiscs(ctx, messages, json);
  }
  if (ifindex === 0) throw new UsageError('A device is needed: "dev DEV".');
  const parent = kind === 'clsact' || kind === 'ingress' ? tcs.TC_H_CLSACT : tcs.TC_H_ROOT;
  const payload = new AttrWriter()
    .raw(header(ifindex, parent === tcs.TC_H_CLSACT ? tcs.TC_H_CLSACT_HANDLE : 0, parent, 0))
    .string(tcs.TCA_KIND, kind)
    .finish();
  if (verb === 'add') ctx.netlink.request(u.RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, payload);
  else if (verb === 'replace') ctx.netlink.request(u.RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, payload);
  else if (verb === 'del' || verb === 'delete') ctx.netlink.request(u.RTM_DELQDISC, 0, payload);
  else throw new UsageError(`Command "${verb}" is unknown.`);
  return '';
}

type TcRecord = { dev: string; kind: string; handle: number; parent: number; info: number; payload: Uint8Array };

function read(ctx: Context, m: Message): TcRecord {
  const dv = new DataView(m.payload.buffer, m.payload.byteOffset, m.payload.byteLength);
  const kind = attrMap(m.payload, tcs.TCMSG_LENGTH).get(tcs.TCA_KIND);
  return {
    dev: ctx.linkName(dv.getInt32(4, true)),
    kind: kind === undefined ? '' : getString(kind.payload),
    handle: dv.getUint32(8, true),
    parent: dv.getUint32(12, true),
    info: dv.getUint32(16, true),
    payload: m.payload,
  };
}

const handleText = (h: number): string => {
  const minor = h & 0xffff;
  return `${(h >>> 16).toString(16)}:${minor === 0 ? '' : minor.toString(16)}`;
};

function printQdiscs(ctx: Context, messages: readonly Message[], json: boolean): string {
  const records = messages.map((m) => read(ctx, m));
  if (json)
    return `${JSON.stringify(
      records.map((r) => ({
        kind: r.kind,
        handle: handleText(r.handle),
        dev: r.dev,
        ...(r.parent === tcs.TC_H_ROOT ? { root: true } : { parent: handleText(r.parent) }),
        options: {},
      })),
    )}\n`;
  return records
    .map((r) => {
      const where = r.parent === tcs.TC_H_ROOT ? 'root' : `parent ${handleText(r.parent)}`;
      return `qdisc ${r.kind} ${handleText(r.handle)} dev ${r.dev} ${where} ${r.kind === 'noqueue' ? 'refcnt 2 ' : ''}\n`;
    })
    .join('');
}

const swap16 = (n: number): number => ((n & 0xff) << 8) | ((n >> 8) & 0xff);

function filter(ctx: Context, argv: readonly string[], json: boolean): string {
  const [verb = 'show', ...rest] = argv;
  const words = new Keywords(rest);
  let dev = '';
  let parent = 0;
  let prio = 0;
  let protocol = 3;
  let handle = 0;
  let bpf: BpfOptions | undefined;
  while (!words.done) {
    const word = words.next();
    switch (word) {
      case 'dev':
        dev = words.next();
        break;
      case 'ingress':
      case 'egress':
        parent = (tcs.TC_H_CLSACT_HANDLE | (word === 'ingress' ? tcs.TC_H_MIN_INGRESS : tcs.TC_H_MIN_EGRESS)) >>> 0;
        break;
      case 'parent':
        if (words.next() !== 'ffff:')
          throw new UsageError('netloom\'s tc has filters below clsact only: "ingress" or "egress".');
        parent = tcs.TC_H_CLSACT_HANDLE;
        break;
      case 'pref':
      case 'prio':
      case 'priority':
        prio = words.number('preference');
        break;
      case 'protocol': {
        const name = words.next();
        protocol = PROTOCOLS[name.toLowerCase()] ?? 0;
        if (protocol === 0) throw new UsageError(`protocol "${name}" is invalid.`);
        break;
      }
      case 'handle':
        handle = words.number('handle');
        break;
      case 'bpf':
        bpf = bpfOptions(words);
        break;
      default:
        throw new UsageError(`netloom's tc does not know "${word}": bpf is the only filter.`);
    }
  }
  const ifindex = dev === '' ? 0 : ctx.needLink(dev);
  if (ifindex === 0) throw new UsageError('A device is needed: "dev DEV".');
  const info = ((prio << 16) | swap16(protocol)) >>> 0;
  if (verb === 'show' || verb === 'list' || verb === 'ls')
    return printFilters(ctx, ctx.netlink.dump(u.RTM_GETTFILTER, header(ifindex, 0, parent, 0)), json);
  if (parent === 0) throw new UsageError('"ingress" or "egress" is needed.');
  if (verb === 'del' || verb === 'delete') {
    ctx.netlink.request(u.RTM_DELTFILTER, 0, header(ifindex, handle, parent, info));
    return '';
  }
  if (verb !== 'add' && verb !== 'replace') throw new UsageError(`Command "${verb}" is unknown.`);
  if (bpf === undefined) throw new UsageError('A filter kind is needed: "bpf".');
  const program = programOf(ctx, bpf);
  const payload = new AttrWriter()
    .raw(header(ifindex, handle, parent, info))
    .string(tcs.TCA_KIND, 'bpf')
    .nest(tcs.TCA_OPTIONS, (o) => {
      o.u32(tcs.TCA_BPF_FD, program.id).string(tcs.TCA_BPF_NAME, program.name);
      if (bpf?.direct) o.u32(tcs.TCA_BPF_FLAGS, tcs.TCA_BPF_FLAG_ACT_DIRECT);
    })
    .finish();
  const flags = verb === 'add' ? NLM_F_CREATE | NLM_F_EXCL : NLM_F_CREATE | NLM_F_REPLACE;
  ctx.netlink.request(u.RTM_NEWTFILTER, flags, payload);
  return '';
}

type BpfOptions = { direct: boolean; file: string; section?: string; program?: string; id: number };

function bpfOptions(words: Keywords): BpfOptions {
  const out: BpfOptions = { direct: false, file: '', id: 0 };
  while (!words.done) {
    const word = words.next();
    if (word === 'da' || word === 'direct-action') out.direct = true;
    else if (word === 'obj' || word === 'object-file') out.file = words.next();
    else if (word === 'sec' || word === 'section') out.section = words.next();
    else if (word === 'program' || word === 'prog') out.program = words.next();
    else if (word === 'id') out.id = words.number('program id');
    else if (word === 'verbose' || word === 'verb') continue;
    else throw new UsageError(`bpf: "${word}" is not supported by netloom's tc.`);
  }
  return out;
}

function programOf(ctx: Context, bpf: BpfOptions): { id: number; name: string } {
  if (bpf.id !== 0) return { id: bpf.id, name: '' };
  if (bpf.file === '') throw new UsageError('bpf: "obj FILE" or "id N" is needed.');
  const loaded = loadOne(ctx.io, bpf.file, {
    section: bpf.section,
    program: bpf.program,
    defaultType: BPF_PROG_TYPE_SCHED_CLS,
  });
  const file = bpf.file.slice(bpf.file.lastIndexOf('/') + 1);
  return { id: loaded.id, name: `${file}:[${loaded.section}]` };
}

function printFilters(ctx: Context, messages: readonly Message[], json: boolean): string {
  const rows = messages.map((m) => {
    const r = read(ctx, m);
    const options = attrMap(m.payload, tcs.TCMSG_LENGTH).get(tcs.TCA_OPTIONS);
    const own = options === undefined ? undefined : attrMap(options.payload);
    const name = own?.get(tcs.TCA_BPF_NAME);
    const id = own?.get(tcs.TCA_BPF_ID);
    const flags = own?.get(tcs.TCA_BPF_FLAGS);
    const protocol = swap16(r.info & 0xffff);
    return {
      parent: (r.parent & 0xffff) === tcs.TC_H_MIN_EGRESS ? 'egress' : 'ingress',
      protocol: Object.keys(PROTOCOLS).find((p) => PROTOCOLS[p] === protocol) ?? `[${protocol}]`,
      pref: r.info >>> 16,
      kind: r.kind,
      handle: r.handle,
      name: name === undefined ? '' : getString(name.payload),
      direct: flags !== undefined && (getU32(flags.payload) & tcs.TCA_BPF_FLAG_ACT_DIRECT) !== 0,
      id: id === undefined ? 0 : getU32(id.payload),
    };
  });
  if (json)
    return `${JSON.stringify(
      rows.map((r) => ({
        parent: r.parent,
        protocol: r.protocol,
        pref: r.pref,
        kind: r.kind,
        chain: 0,
        options: {
          handle: `0x${r.handle.toString(16)}`,
          bpf_name: r.name,
          'direct-action': r.direct,
          prog: { id: r.id },
        },
      })),
    )}\n`;
  return rows
    .map(
      (r) =>
        `filter ${r.parent} protocol ${r.protocol} pref ${r.pref} ${r.kind} chain 0 handle 0x${r.handle.toString(16)} ${r.name} ` +
        `${r.direct ? 'direct-action ' : ''}id ${r.id}\n`,
    )
    .join('');
}
