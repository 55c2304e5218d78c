/** Carrying out one command of conntrack(8) over netlink. */
import { EEXIST, EINVAL, ENOENT, ENOMEM, strerror } from '../../core/errno.ts';
import { AttrWriter, attrMap, getBeU32 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from '../../wire/uapi/netlink.ts';
import { NFNL_SUBSYS_CTNETLINK, NFNL_SUBSYS_CTNETLINK_EXP } from '../../wire/uapi/nfnetlink.ts';
import { type NetlinkClient, NetlinkError } from '../netlink-client.ts';
import { buildNat, buildSettings, buildTuples } from './build.ts';
import { expectationKey, expectationRequest, printExpectation, readExpectation, xmlExpectation } from './expect.ts';
import { type Flow, readFlow } from './flow.ts';
import { matches } from './match.ts';
import { ConntrackError, type Options } from './options.ts';
import { printFlow, type Show, saveFlow } from './print.ts';
import { XML_HEAD, XML_TAIL, xmlFlow } from './xml.ts';

export const VERSION = 'conntrack v1.4.7 (conntrack-tools)';

/** Collects what a command prints. */
export type Output = { stdout: string; stderr: string; code: number };

function conntrackType(command: number): number {
  return (NFNL_SUBSYS_CTNETLINK << 8) | command;
}
function expectType(command: number): number {
  return (NFNL_SUBSYS_CTNETLINK_EXP << 8) | command;
}

function header(family: number): AttrWriter {
  return new AttrWriter().raw(Uint8Array.of(family, 0, 0, 0));
}

/** The tool's own words for what the kernel refused. */
export function failure(error: NetlinkError, command: string): ConntrackError {
  const words: Readonly<Record<number, string | undefined>> = {
    [EINVAL]: 'invalid parameters',
    [ENOMEM]: 'not enough memory',
    ...(command === 'I' || command === 'A' ? { [EEXIST]: 'Such conntrack exists, try -U to update' } : {}),
    ...(command === 'G' || command === 'D' || command === 'U' ? { [ENOENT]: "such conntrack doesn't exist" } : {}),
    ...(command === 'I expect' ? { [ENOENT]: 'master conntrack not found' } : {}),
  };
  return new ConntrackError(`Operation failed: ${words[error.errno] ?? strerror(error.errno)}`, 1);
}

/** One connection in the format that was asked for, with its newline. */
function show(flow: Flow, s: Show, word: string): string {
  if (s.output.has('save')) return `${saveFlow(flow, word === 'updated' ? 2 : word === 'deleted' ? 3 : undefined)}\n`;
  return `${s.output.has('xml') ? xmlFlow(flow, s) : printFlow(flow, s)}\n`;
}

function list(out: Output, flows: readonly Flow[], s: Show, word: string): void {
  const text = flows.map((flow) => show(flow, s, word)).join('');
  out.stdout += s.output.has('xml') && flows.length > 0 ? XML_HEAD + text + XML_TAIL : text;
  out.stderr += `${VERSION}: ${flows.length} flow entries have been ${word}.\n`;
}

/** Names an existing connection in a request. */
function named(flow: Flow, family: number = flow.family): AttrWriter {
  const w = header(family);
  for (const type of [C.CTA_TUPLE_ORIG, C.CTA_TUPLE_REPLY]) w.bytes(type | 0x8000, flow.attrs.get(type)!.payload);
  return w;
}

export class Commands {
  readonly #client: NetlinkClient;
  readonly #o: Options;
  readonly #show: Show;
  readonly #out: Output;
  /** Lines of `-R` do not count what they did. */
  readonly #quiet: boolean;

  constructor(client: NetlinkClient, o: Options, s: Show, out: Output, quiet = false) {
    this.#client = client;
    this.#o = o;
    this.#show = s;
    this.#out = out;
    this.#quiet = quiet;
  }

  run(): void {
    const { command, table } = this.#o;
    try {
      if (command === 'S') this.#statistics();
      else if (table === 'expect') this.#expect();
      else this.#conntrack();
    } catch (error) {
      if (error instanceof NetlinkError) throw failure(error, table === 'expect' ? `${command} expect` : command);
      throw error;
    }
  }

  #conntrack(): void {
    switch (this.#o.command) {
      case 'L':
        return this.#list();
      case 'D':
        return this.#delete();
      case 'U':
        return this.#update();
      case 'I':
      case 'A':
        return this.#create();
      case 'G':
        return this.#get();
      case 'F':
        this.#client.request(conntrackType(C.IPCTNL_MSG_CT_DELETE), 0, header(this.#o.family ?? 0).finish());
        this.#out.stderr += `${VERSION}: connection tracking table has been emptied.\n`;
        return;
      default:
        return this.#count();
    }
  }

  #dump(command: number, update = false): Flow[] {
    const o = this.#o;
    const w = header(o.family ?? 0);
    if (o.mark !== undefined && !update) w.beU32(C.CTA_MARK, o.mark.value).beU32(C.CTA_MARK_MASK, o.mark.mask);
    if (o.status !== undefined && !update) w.beU32(C.CTA_STATUS, o.status).beU32(C.CTA_STATUS_MASK, o.status);
    return this.#client
      .dump(conntrackType(command), w.finish())
      .map(readFlow)
      .filter((flow) => matches(flow, o, update));
  }

  #list(): void {
    const { table, zero } = this.#o;
    const command =
      table === 'dying'
        ? C.IPCTNL_MSG_CT_GET_DYING
        : table === 'unconfirmed'
          ? C.IPCTNL_MSG_CT_GET_UNCONFIRMED
          : zero
            ? C.IPCTNL_MSG_CT_GET_CTRZERO
            : C.IPCTNL_MSG_CT_GET;
    list(this.#out, this.#dump(command), this.#show, 'shown');
  }

  #delete(): void {
    const flows = this.#dump(C.IPCTNL_MSG_CT_GET);
    for (const flow of flows) {
      const w = named(flow);
      if (flow.zone !== undefined) w.beU16(C.CTA_ZONE, flow.zone);
      this.#client.request(conntrackType(C.IPCTNL_MSG_CT_DELETE), 0, w.beU32(C.CTA_ID, flow.id).finish());
    }
    if (this.#quiet) this.#out.stdout += flows.map((flow) => show(flow, this.#show, 'deleted')).join('');
    else list(this.#out, flows, this.#show, 'deleted');
    if (flows.length === 0 && !this.#quiet) this.#out.code = 1;
  }

  /** Each connection by a request of its own; the family is the options', and the zone is not told. */
  #update(): void {
    const o = this.#o;
    const selected = this.#dump(C.IPCTNL_MSG_CT_GET, true);
    const done: Flow[] = [];
    let failed: NetlinkError | undefined;
    for (const flow of selected) {
      try {
        const w = named(flow, o.family ?? 0);
        buildSettings(w, o, flow);
        this.#client.request(conntrackType(C.IPCTNL_MSG_CT_NEW), 0, w.finish());
        const now = this.#client.request(conntrackType(C.IPCTNL_MSG_CT_GET), 0, named(flow, o.family ?? 0).finish())[0];
        done.push(now === undefined ? flow : readFlow(now));
      } catch (error) {
        if (!(error instanceof NetlinkError)) throw error;
        this.#out.stderr += `Operation failed: ${strerror(error.errno)}\n`;
        failed = error;
        // The first failure ends the run, unless the connection is merely gone.
        if (error.errno !== ENOENT) throw new ConntrackError(`Operation failed: ${strerror(error.errno)}`, 1);
      }
    }
    list(this.#out, done, this.#show, 'updated');
    if (done.length === 0 && (failed !== undefined || !this.#quiet)) this.#out.code = 1;
  }

  #create(): void {
    const o = this.#o;
    const w = header(o.family ?? 2);
    buildTuples(w, o, true);
    buildSettings(w, o);
    buildNat(w, o);
    if (o.zone !== undefined) w.beU16(C.CTA_ZONE, o.zone);
    let made = 1;
    try {
      this.#client.request(conntrackType(C.IPCTNL_MSG_CT_NEW), NLM_F_CREATE | NLM_F_EXCL, w.finish());
    } catch (error) {
      // Adding what is there already is no failure.
      if (o.command !== 'A' || !(error instanceof NetlinkError) || error.errno !== EEXIST) throw error;
      made = 0;
    }
    if (this.#quiet) return;
    this.#out.stderr += `${VERSION}: ${made} flow entries have been ${o.command === 'A' ? 'added' : 'created'}.\n`;
  }

  #get(): void {
    const w = header(this.#o.family ?? 2);
    buildTuples(w, this.#o, false);
    const answer = this.#client.request(conntrackType(C.IPCTNL_MSG_CT_GET), 0, w.finish())[0];
    list(this.#out, answer === undefined ? [] : [readFlow(answer)], this.#show, 'shown');
  }

  #count(): void {
    const answer = this.#client.request(conntrackType(C.IPCTNL_MSG_CT_GET_STATS), 0, header(0).finish())[0];
    const entries = attrMap(answer.payload, 4).get(C.CTA_STATS_GLOBAL_ENTRIES);
    this.#out.stdout += `${entries === undefined ? 0 : getBeU32(entries.payload)}\n`;
  }

  #statistics(): void {
    const expect = this.#o.table === 'expect';
    const type = expect ? expectType(C.IPCTNL_MSG_EXP_GET_STATS_CPU) : conntrackType(C.IPCTNL_MSG_CT_GET_STATS_CPU);
    const names: readonly (readonly [number, string])[] = expect
      ? [
          [C.CTA_STATS_EXP_NEW, 'expect_new'],
          [C.CTA_STATS_EXP_CREATE, 'expect_create'],
          [C.CTA_STATS_EXP_DELETE, 'expect_delete'],
        ]
      : STATISTICS;
    for (const m of this.#client.dump(type, header(0).finish())) this.#out.stdout += statisticsLine(m, names);
  }

  #expect(): void {
    const o = this.#o;
    switch (o.command) {
      case 'L':
        return this.#listExpectations();
      case 'I':
        this.#client.request(expectType(C.IPCTNL_MSG_EXP_NEW), NLM_F_CREATE | NLM_F_EXCL, expectationRequest(o));
        this.#out.stderr += `${VERSION}: 1 expectations have been created.\n`;
        return;
      case 'D':
        this.#client.request(expectType(C.IPCTNL_MSG_EXP_DELETE), 0, expectationKey(o));
        this.#out.stderr += `${VERSION}: 1 expectations have been deleted.\n`;
        return;
      case 'G': {
        const answer = this.#client.request(expectType(C.IPCTNL_MSG_EXP_GET), 0, expectationKey(o));
        for (const m of answer) this.#out.stdout += `${printExpectation(readExpectation(m))}\n`;
        this.#out.stderr += `${VERSION}: ${answer.length} expectations have been shown.\n`;
        return;
      }
      case 'F':
        this.#client.request(expectType(C.IPCTNL_MSG_EXP_DELETE), 0, header(0).finish());
        this.#out.stderr += `${VERSION}: expectation table has been emptied.\n`;
        return;
      default:
        this.#out.stdout += `${this.#expectations().length}\n`;
    }
  }

  #expectations(): Message[] {
    return this.#client.dump(expectType(C.IPCTNL_MSG_EXP_GET), header(this.#o.family ?? 0).finish());
  }

  #listExpectations(): void {
    const { output } = this.#o;
    const all = this.#expectations().map(readExpectation);
    const text = all.map((e) => `${output.has('xml') ? xmlExpectation(e) : printExpectation(e)}\n`).join('');
    this.#out.stdout +=
      output.has('xml') && all.length > 0
        ? `<?xml version="1.0" encoding="utf-8"?>\n<expect>\n${text}</expect>\n`
        : text;
    this.#out.stderr += `${VERSION}: ${all.length} expectations have been shown.\n`;
  }
}

const STATISTICS: readonly (readonly [number, string])[] = [
  [C.CTA_STATS_FOUND, 'found'],
  [C.CTA_STATS_INVALID, 'invalid'],
  [C.CTA_STATS_INSERT, 'insert'],
  [C.CTA_STATS_INSERT_FAILED, 'insert_failed'],
  [C.CTA_STATS_DROP, 'drop'],
  [C.CTA_STATS_EARLY_DROP, 'early_drop'],
  [C.CTA_STATS_ERROR, 'error'],
  [C.CTA_STATS_SEARCH_RESTART, 'search_restart'],
  [C.CTA_STATS_CLASH_RESOLVE, 'clash_resolve'],
  [C.CTA_STATS_CHAIN_TOOLONG, 'chaintoolong'],
];

/** The counters of one processor; its number is the message's resource id. */
function statisticsLine(m: Message, names: readonly (readonly [number, string])[]): string {
  const attrs = attrMap(m.payload, 4);
  const cpu = (m.payload[2] << 8) | m.payload[3];
  let out = `cpu=${String(cpu).padEnd(4)}\t`;
  for (const [type, name] of names) {
    const attr = attrs.get(type);
    if (attr !== undefined) out += `${name}=${getBeU32(attr.payload)} `;
  }
  return `${out}\n`;
}
