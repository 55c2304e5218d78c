/**
 * The compiled chains of one host. A table is compiled as a whole, at once or when enough packets have come through its
 * chains to pay for it; from then on its programs follow its chains: between packets, when the generation has changed, the
 * chains whose rules are others get new programs, and the old ones go. What runs interpreted says why.
 */
import { NotCompiled } from '../../../bpf/compile/input.ts';
import { BPF_PROG_TYPE_NFT_CHAIN, NFT_CTX, NFT_CTX_SIZE } from '../../../bpf/progtype/nft-chain.ts';
import type { NftEval } from '../../../bpf/runtime/kfuncs-nft.ts';
import { RUN_BLOCK_BYTES, Run } from '../../../bpf/runtime/run.ts';
import { VerifierError } from '../../../bpf/system.ts';
import type { HookState } from '../../../core/hook.ts';
import { META_BYTES, NO_OFFSET, PKT_NFTRACE } from '../../../core/slab.ts';
import { Code, I32, I64, OP, WasmModule } from '../../../core/wasm.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../../../wire/uapi/netfilter.ts';
import { NFT_CONTINUE } from '../../../wire/uapi/nf-tables.ts';
import type { NetfilterHost } from '../host.ts';
import type { Chain, Table } from '../model.ts';
import { PktInfo } from '../pkt.ts';
import { Regs } from '../regs.ts';
import { ChainCode } from './chain-code.ts';
import { Pool } from './pool.ts';
import { RunFinder } from './runs.ts';

/** When chains are compiled: never, when it pays, before the first packet. */
export type CompileMode = 'off' | 'lazy' | 'eager';

/** Rules gone through before a table of no rules is compiled, and for each rule more. */
const BASE_WORK = 16_384;
const WORK_PER_RULE = 64;

/** What one nesting level works with. */
class CompiledFrame implements NftEval {
  readonly run: Run;
  readonly ctx: number;
  readonly regs: Regs;
  readonly pkt: PktInfo;
  readonly #chains: CompiledChains;
  #now = -1;
  #iif = -1;
  #oif = -1;
  #iifname = '';
  #oifname = '';

  constructor(chains: CompiledChains, host: NetfilterHost, pool: Pool) {
    const { slab } = host.world;
    const block = slab.heap.alloc(RUN_BLOCK_BYTES, 64);
    this.ctx = slab.heap.alloc(NFT_CTX_SIZE, 8);
    if (block === 0 || this.ctx === 0) throw new NotCompiled('chains without memory for their stack');
    this.run = new Run(pool.system.machine, block);
    this.run.attached = this;
    this.run.ctx = this.ctx;
    this.run.progType = BPF_PROG_TYPE_NFT_CHAIN;
    this.regs = new Regs(slab.memory.buffer, this.ctx + NFT_CTX.regs);
    this.pkt = new PktInfo(host.world);
    this.#chains = chains;
  }

  evaluate(index: number): number {
    const { regs } = this;
    regs.verdict = NFT_CONTINUE;
    this.#chains.pool.exprs[index]!.eval(regs, this.pkt);
    if (regs.verdict < -2 && regs.chain !== undefined)
      this.run.dv.setUint32(this.ctx + NFT_CTX.chain, this.#chains.pool.numberOf(regs.chain), true);
    return regs.verdict;
  }

  /** Writes the context for a packet that `pkt` was set to. */
  fill(words: Uint32Array, names: NetfilterHost | undefined): void {
    const { pkt } = this;
    const { slab } = pkt;
    const w = this.ctx >> 2;
    const { end } = pkt;
    words[w + (NFT_CTX.network >> 2)] = pkt.nhoff;
    words[w + (NFT_CTX.transport >> 2)] = pkt.hasTransport ? pkt.thoff : end;
    words[w + (NFT_CTX.transportWhole >> 2)] = pkt.hasTransport && pkt.fragoff === 0 ? pkt.thoff : end;
    const mac = slab.mac(pkt.p);
    words[w + (NFT_CTX.mac >> 2)] = mac === NO_OFFSET ? end : mac;
    words[w + (NFT_CTX.dataEnd >> 2)] = end;
    words[w + (NFT_CTX.meta >> 2)] = pkt.p * META_BYTES;
    words[w + (NFT_CTX.pf >> 2)] = pkt.pf;
    words[w + (NFT_CTX.hook >> 2)] = pkt.hook;
    words[w + (NFT_CTX.iif >> 2)] = pkt.iif;
    words[w + (NFT_CTX.oif >> 2)] = pkt.oif;
    words[w + (NFT_CTX.l4proto >> 2)] = pkt.tprot;
    words[w + (NFT_CTX.hasTransport >> 2)] = pkt.hasTransport ? 1 : 0;
    words[w + (NFT_CTX.depth >> 2)] = 0;
    words[w + (NFT_CTX.rule >> 2)] = 0;
    if (pkt.world.now !== this.#now) {
      this.#now = pkt.world.now;
      const now = Math.floor(this.#now) + 1;
      words[w + (NFT_CTX.now >> 2)] = now % 0x1_0000_0000;
      words[w + (NFT_CTX.now >> 2) + 1] = now / 0x1_0000_0000;
    }
    if (names === undefined) return;
    if (pkt.iif !== this.#iif || names.deviceName(pkt.iif) !== this.#iifname) {
      this.#iif = pkt.iif;
      this.#iifname = names.deviceName(pkt.iif);
      this.#name(NFT_CTX.iifname, this.#iifname);
    }
    if (pkt.oif !== this.#oif || names.deviceName(pkt.oif) !== this.#oifname) {
      this.#oif = pkt.oif;
      this.#oifname = names.deviceName(pkt.oif);
      this.#name(NFT_CTX.oifname, this.#oifname);
    }
  }

  #name(at: number, name: string): void {
    const { u8 } = this.pkt.slab;
    for (let i = 0; i < 16; i++) u8[this.ctx + at + i] = i < name.length ? name.charCodeAt(i) : 0;
  }
}

type TableCode = {
  readonly chains: Map<Chain, ChainCode>;
  /** Why its packets are interpreted; '' when they are not. */
  reason: string;
};

/** How a chain runs, for those who ask. */
export type ChainReport = {
  readonly chain: Chain;
  readonly programs: readonly number[];
  readonly instructions: number;
  /** Names of expressions that its programs call. */
  readonly called: readonly string[];
  /** Why it is interpreted; '' when it is compiled. */
  readonly reason: string;
};

/** Result for packets that the interpreter has to see. */
export const INTERPRET = 0x7fff_ff20;

export class CompiledChains {
  mode: CompileMode;
  readonly #host: NetfilterHost;
  readonly #tables: () => Iterable<Table>;
  readonly #generation: () => number;
  #pool: Pool | undefined;
  readonly #code = new Map<Table, TableCode>();
  readonly #work = new Map<Table, number>();
  #runs = new RunFinder();
  /** The generation that the programs are of. */
  #synced = -1;
  #depth = 0;
  readonly #frames: CompiledFrame[] = [];
  #names = false;
  #empty = 0;
  #enter: (block: number, ctx: number, fp: number, program: number) => number = () => INTERPRET;
  readonly #words: Uint32Array;
  /** Handle of the rule that decided the packet last. */
  rule = 0;

  constructor(host: NetfilterHost, tables: () => Iterable<Table>, generation: () => number, mode: CompileMode) {
    this.mode = mode;
    this.#host = host;
    this.#tables = tables;
    this.#generation = generation;
    this.#words = host.world.slab.words;
  }

  get pool(): Pool {
    return this.#pool!;
  }

  /** Programs there are, for bpf(2)'s eyes. */
  get loaded(): Pool | undefined {
    return this.#pool;
  }

  /** The verdict of a base chain, END_OF_CHAIN, TOO_DEEP, or INTERPRET when it is for the interpreter. */
  run(chain: Chain, p: number, state: HookState): number {
    if (this.mode === 'off' || chain.rules.length === 0) return INTERPRET;
    const { world } = this.#host;
    const { table } = chain;
    if (this.#depth === 0 && this.#synced !== this.#generation()) this.#sync();
    const code = this.#code.get(table);
    if (code === undefined) {
      if (!this.#pays(chain)) return INTERPRET;
      if (this.#depth > 0) return INTERPRET;
      this.#compile(table);
      return this.run(chain, p, state);
    }
    if (code.reason !== '') return INTERPRET;
    const { slab } = world;
    if (world.probe !== undefined || world.traced(p) || (slab.flags(p) & PKT_NFTRACE) !== 0) return INTERPRET;
    const pool = this.#pool!;
    let frame = this.#frames[this.#depth];
    if (frame === undefined) {
      frame = new CompiledFrame(this, this.#host, pool);
      this.#frames.push(frame);
    }
    const { pkt } = frame;
    pkt.set(p, state);
    const length = pkt.end - pkt.nhoff;
    if ((state.pf === NFPROTO_IPV4 && length < 20) || (state.pf === NFPROTO_IPV6 && length < 40)) return INTERPRET;
    frame.fill(this.#words, this.#names ? this.#host : undefined);
    const { engine } = pool.system;
    const outer = engine.current;
    engine.current = frame.run;
    this.#depth++;
    try {
      const verdict = this.#enter(frame.run.block, frame.ctx, frame.run.stackTop, pool.head(chain));
      this.rule = this.#words[(frame.ctx + NFT_CTX.rule) >> 2];
      return verdict;
    } finally {
      this.#depth--;
      engine.current = outer;
    }
  }

  /** Counts what the interpreter does for a table, until compiling it costs less. */
  #pays(chain: Chain): boolean {
    if (this.mode === 'eager') return true;
    const { table } = chain;
    const work = (this.#work.get(table) ?? 0) + 4 + chain.rules.length;
    this.#work.set(table, work);
    if (work < BASE_WORK) return false;
    let rules = 0;
    for (const c of table.chains.values()) rules += c.rules.length;
    return work >= BASE_WORK + rules * WORK_PER_RULE;
  }

  #start(): Pool {
    if (this.#pool !== undefined) return this.#pool;
    const { world } = this.#host;
    const pool = new Pool(world.slab, () => world.now, 'compiled');
    this.#pool = pool;
    this.#empty = pool.load(
      {
        name: 'empty',
        section: '',
        type: BPF_PROG_TYPE_NFT_CHAIN,
        expectedAttachType: 0,
        flags: 0,
        license: 'GPL',
        insns: [
          { code: 0xb7, dst: 0, src: 0, off: 0, imm: -1 },
          { code: 0x95, dst: 0, src: 0, off: 0, imm: 0 },
        ],
        maps: [],
      },
      [],
    ).id;
    this.#enter = entryOf(pool);
    return pool;
  }

  #compile(table: Table): void {
    this.#code.set(table, { chains: new Map(), reason: '' });
    try {
      this.#start();
    } catch (error) {
      this.#code.set(table, { chains: new Map(), reason: reasonOf(error) });
      return;
    }
    this.#update(table);
  }

  /** Brings all programs into step with the configuration. No packet is in any of them. */
  #sync(): void {
    this.#synced = this.#generation();
    if (this.#code.size === 0) return;
    const there = new Set(this.#tables());
    for (const [table, code] of this.#code) {
      if (there.has(table)) continue;
      for (const chain of code.chains.values()) chain.dispose();
      this.#code.delete(table);
      this.#work.delete(table);
    }
    for (const table of this.#code.keys()) this.#update(table);
    this.#pool?.refreshSets();
  }

  #update(table: Table): void {
    const code = this.#code.get(table)!;
    const pool = this.#pool;
    if (pool === undefined) return;
    const there = new Set(table.chains.values());
    const gone = [...code.chains.values()].filter((c) => !there.has(c.chain));
    code.reason = '';
    for (const chain of there) {
      if (code.chains.has(chain)) continue;
      code.chains.set(chain, new ChainCode(pool, this.#runs, chain, this.#empty));
    }
    for (const chain of code.chains.values()) {
      if (!there.has(chain.chain)) continue;
      try {
        chain.update();
      } catch (error) {
        code.reason ||= `chain ${chain.chain.name}: ${reasonOf(error)}`;
      }
      if (chain.segments.some((s) => s.needsNames)) this.#names = true;
    }
    if (code.reason === '') {
      for (const c of code.chains.values()) if (c.tracing) code.reason = `chain ${c.chain.name} sets meta nftrace`;
    }
    for (const chain of gone) {
      chain.dispose();
      code.chains.delete(chain.chain);
    }
  }

  /** Compiles a table now, whatever the mode. */
  compile(table: Table): void {
    if (!this.#code.has(table)) this.#compile(table);
  }

  /** How the chains of a table run. */
  report(table: Table): ChainReport[] {
    if (this.#depth === 0 && this.#synced !== this.#generation()) this.#sync();
    const code = this.#code.get(table);
    return [...table.chains.values()].map((chain) => {
      const segments = code?.chains.get(chain)?.segments ?? [];
      return {
        chain,
        programs: segments.map((s) => s.program.id),
        instructions: segments.reduce((sum, s) => sum + s.program.spec.insns.length, 0),
        called: [...new Set(segments.flatMap((s) => [...s.called]))],
        reason: code === undefined ? (this.mode === 'off' ? 'off' : 'few packets so far') : code.reason,
      };
    });
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof NotCompiled || error instanceof VerifierError || error instanceof RangeError)
    return error.message;
  throw error;
}

/** One entry for all programs: a call from JavaScript that always finds the same function is the cheapest. */
function entryOf(pool: Pool): (block: number, ctx: number, fp: number, program: number) => number {
  const { engine, machine } = pool.system;
  const m = new WasmModule();
  const pages = machine.slab.memory.buffer.byteLength / 65_536;
  m.importMemory('env', 'memory', pages, pages);
  const table = m.importTable('env', 'programs', 0);
  const type = m.type([I32, I32], [I64]);
  const func = m.declare([I32, I32, I32, I32], [I32], 'enter');
  const code = new Code();
  code.i32(0).mem(OP['i32.load'], engine.cell).set(4);
  code.i32(0).get(0).mem(OP['i32.store'], engine.cell);
  code.get(1).get(2).get(3).callIndirect(type, table).op(OP['i32.wrap_i64']);
  code.i32(0).get(4).mem(OP['i32.store'], engine.cell);
  m.define(func, [I32], code);
  m.export('enter', 'func', func);
  const env = { memory: machine.slab.memory, programs: engine.table };
  const instance = new WebAssembly.Instance(new WebAssembly.Module(m.bytes() as BufferSource), { env });
  return instance.exports.enter as (block: number, ctx: number, fp: number, program: number) => number;
}
