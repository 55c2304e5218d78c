/**
 * The verifier's working memory for one program: the program itself, who loads it, the path being walked, the paths still
 * to be walked, and the log.
 */
import { BPF_COMPLEXITY_LIMIT_INSNS, classOf, type Insn, MAX_BPF_STACK } from '../insn.ts';
import type { LineInfo, MapInfo, ProgramSpec } from '../program.ts';
import { IdMap } from './id-map.ts';
import { LiveStack } from './live-stack.ts';
import type { Log } from './log.ts';
import type { LoopVisit } from './loops.ts';
import type { Reg } from './reg.ts';
import type { FuncState, State, Step } from './state.ts';
import { Tracked } from './tracked.ts';

/** Who loads the program: all capabilities; CAP_BPF and CAP_NET_ADMIN without CAP_PERFMON; nobody. */
export type Mode = 'root' | 'netadmin' | 'unpriv';

/** Why a program was refused; thrown inside the verifier only, `verify` catches it. */
export class Reject extends Error {
  readonly errno: number;
  /** Further lines for the log, after the message. */
  readonly details: string;
  constructor(errno: number, message: string, details = '') {
    super(message);
    this.errno = errno;
    this.details = details;
  }
}

export type Subprog = {
  readonly name: string;
  /** First instruction, and one past the last. */
  readonly start: number;
  readonly end: number;
  /** Bytes of stack used, found while walking. */
  stackDepth: number;
  hasTailCall: boolean;
  tailCallReachable: boolean;
  hasLdAbs: boolean;
  /** Some path through it may move packet data. */
  changesPacketData: boolean;
  isGlobal: boolean;
  /** Entered as a callback, or asynchronously (timers). */
  isCallback: boolean;
  isAsyncCallback: boolean;
  /** Called, so that a global function has to be verified. */
  called: boolean;
  verified: boolean;
};

/** What the walk learned about one instruction; for the compiler and for later walks. */
export class InsnInfo {
  /** Reached by some path. */
  seen = false;
  prunePoint = false;
  jmpPoint = false;
  forceCheckpoint = false;
  callsCallback = false;
  /** Strongly connected component of the control flow graph, 0 for none. */
  scc = 0;
  /** Registers alive before the instruction, a bit each. */
  liveRegs = 0;
  /** Pointer type that a load or store here goes through; the same on every path (or an error). */
  ptrType = 0;
  /** A load that gives zero when nothing is at its address: through a pointer found in a kernel struct. */
  mayFault = false;
  /** Map of a helper call that is the same on all paths: index in `maps`; -1 none yet, -2 several. */
  mapIndex = -1;
  /** Key of a map helper call that is the same constant on all paths. */
  mapKey: bigint | undefined = undefined;
  mapKeyPoisoned = false;
  /** No speculative path goes beyond this instruction; nor, `nospecResult`, beyond what it stores. */
  nospec = false;
  nospecResult = false;
  /** How the operands of pointer arithmetic are masked; see sanitize.ts. */
  aluState = 0;
  aluLimit = 0;
  /** Callback of bpf_loop that is always the same with flags 0: it may be inlined. */
  loopInline = false;
  loopSubprog = -1;
}

/** The line_info entry that covers an instruction. */
export function lineOf(lines: readonly LineInfo[] | undefined, pc: number): LineInfo | undefined {
  if (lines === undefined) return undefined;
  let low = 0;
  let high = lines.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lines[middle].insn <= pc) low = middle + 1;
    else high = middle;
  }
  return lines[low - 1];
}

/** A path to be walked later. */
export type Pending = {
  readonly state: State;
  readonly insn: number;
  readonly prev: number;
  readonly logPosition: number;
};

/** A recorded state at a prune point. */
export type Explored = { state: State; hits: number; misses: number };

export class Verifier {
  readonly spec: ProgramSpec;
  readonly insns: readonly Insn[];
  readonly maps: readonly MapInfo[];
  readonly mode: Mode;
  /** Processors there are: bounds what bpf_get_smp_processor_id returns. */
  readonly cpus: number;
  readonly complexityLimit: number;
  readonly log: Log;
  readonly info: InsnInfo[];
  subprogs: Subprog[] = [];
  /** Postorder of each subprogram's instructions, one after the other; for data-flow passes. */
  postorder: number[] = [];

  // What the loader's capabilities allow.
  /** CAP_BPF: loops, subprograms, precision tracking. */
  readonly bpfCapable: boolean;
  /** CAP_PERFMON: pointers may leak, uninitialised stack may be read, speculation need not be safe. */
  readonly allowPtrLeaks: boolean;
  readonly strictAlignment: boolean;
  readonly testStateFreq: boolean;

  // The path being walked.
  state!: State;
  insn = 0;
  prevInsn = -1;
  /** The history entry of this instruction, once it has one. */
  currentStep: Step | undefined = undefined;
  readonly pending: Pending[] = [];
  readonly explored: Map<number, Explored[]> = new Map();
  /** Paths that ended by coming back to a state still being walked. */
  readonly loopVisits: Map<string, LoopVisit> = new Map();
  processed = 0;
  jumpsProcessed = 0;
  prevProcessed = 0;
  prevJumpsProcessed = 0;
  totalStates = 0;
  statesKept = 0;
  peakStates = 0;
  maxStatesPerInsn = 0;
  idGenerator = 0;
  /** A helper or context access of this program made these true. */
  seenDirectWrite = false;
  changesPacketData = false;
  /** Unknown scalars move pointers that must be masked: states differ by every number. */
  exploreAluLimits = false;
  readonly tracked: Tracked = new Tracked();
  readonly ids: IdMap = new IdMap();
  /** Registers that hold the constants that instructions name. */
  readonly immediates: Map<number, Reg> = new Map();
  readonly ctxRead: Set<number> = new Set();
  readonly ctxWritten: Set<number> = new Set();
  readonly helpers: Set<number> = new Set();
  maxCtxOffset = 0;

  constructor(spec: ProgramSpec, mode: Mode, log: Log, cpus = 1, complexityLimit: number = BPF_COMPLEXITY_LIMIT_INSNS) {
    this.spec = spec;
    this.insns = spec.insns;
    this.maps = spec.maps;
    this.mode = mode;
    this.cpus = cpus;
    this.complexityLimit = complexityLimit;
    this.log = log;
    this.info = spec.insns.map(() => new InsnInfo());
    this.bpfCapable = mode !== 'unpriv';
    this.allowPtrLeaks = mode === 'root';
    this.strictAlignment = (spec.flags & 1) !== 0 && (spec.flags & 2) === 0;
    this.testStateFreq = (spec.flags & 8) !== 0;
  }

  /** The current frame. */
  get frame(): FuncState {
    return this.state.frame;
  }
  get regs(): Reg[] {
    return this.state.frame.regs;
  }
  readonly liveStack: LiveStack = new LiveStack();
  /** Where the log's line of the last instruction begins and ends. */
  insnLineStart = 0;
  insnLineEnd = 0;

  /** Registers and slots changed or used since the log last showed them. */
  scratchedRegs = 0;
  readonly scratchedSlots: Set<number> = new Set();

  scratchReg(regno: number): void {
    this.scratchedRegs |= 1 << regno;
  }
  scratchSlot(frameno: number, spi: number): void {
    if (frameno === this.state.depth) this.scratchedSlots.add(spi);
  }

  /** The next line of the log shows everything: another path, or another function. */
  scratchAll(): void {
    this.scratchedRegs = 0x7ff;
    if (this.log.verbose) for (let spi = 0; spi < MAX_BPF_STACK / 8; spi++) this.scratchedSlots.add(spi);
  }

  newId(): number {
    return ++this.idGenerator;
  }

  /** Refuses the program. */
  reject(errno: number, message: string, details = ''): never {
    throw new Reject(errno, message, details);
  }

  /** A line in the log that is not the final message. */
  note(line: string): void {
    this.log.line(line);
  }

  /** Remembers a path for later; null when there are too many. */
  push(state: State, insn: number, prev: number): void {
    this.pending.push({ state, insn, prev, logPosition: this.log.position });
  }

  /** The source line of an instruction when it begins one: "text @ file:line". */
  #linePrinted = -1;
  sourceLine(pc: number): string | undefined {
    const line = lineOf(this.spec.lineInfo, pc);
    if (line === undefined || line.insn === this.#linePrinted) return undefined;
    this.#linePrinted = line.insn;
    return `${line.text.trim()} @ ${line.file.slice(line.file.lastIndexOf('/') + 1)}:${line.line}`;
  }

  isCall(pc: number): boolean {
    const insn = this.insns[pc];
    return insn !== undefined && (classOf(insn) === 5 || classOf(insn) === 6) && (insn.code & 0xf0) === 0x80;
  }
}
