/**
 * The verifier's entry: is this program safe to run, by the rules of Linux 6.18
 * (Documentation/bpf/verifier.rst).
 */
import { E2BIG, EINVAL, ENOENT } from '../../core/errno.ts';
import { BPF_PROG_TYPE_TRACING, PROG_TYPE_NAMES } from '../../wire/uapi/bpf.ts';
import { disasmInsn } from '../asm/disassemble.ts';
import { targetProblem } from '../btf-types/index.ts';
import { BPF_COMPLEXITY_LIMIT_INSNS, type Insn } from '../insn.ts';
import type { LineInfo, ProgramSpec } from '../program.ts';
import { checkLoad, needsBtf } from '../progtype/index.ts';
import { checkKfuncKnown } from './call/kfunc.ts';
import { checkCfg } from './cfg.ts';
import { checkStructure, findSubprogs, isPseudoFunc, refuse } from './check-insn.ts';
import { type Mode, Reject, type Subprog, Verifier } from './env.ts';
import { explain } from './explain.ts';
import { newFrame } from './frames.ts';
import { prototypeOf, setGlobalArgs } from './global.ts';
import { computeLiveRegs } from './live-regs.ts';
import { LOG_STATS, Log } from './log.ts';
import { checkProgramMaps } from './program-maps.ts';
import { PTR_TO_CTX } from './reg.ts';
import { computeLoops } from './scc.ts';
import { checkStackDepth } from './stack-depth.ts';
import { State } from './state.ts';
import { stateText } from './state-text.ts';
import { setPointer } from './values.ts';
import { walkAll } from './walk.ts';

export type { Mode } from './env.ts';

export type VerifyOptions = {
  /** Who loads the program; default 'root'. */
  readonly mode?: Mode;
  /** BPF_LOG_LEVEL1 (1), BPF_LOG_LEVEL2 (2), BPF_LOG_STATS (4), or a sum of them; default 0: the message only. */
  readonly logLevel?: number;
  /** Processors of the machine that will run it; default 1. */
  readonly cpus?: number;
  /** Instructions to walk before the program counts as too large; default (and the kernel's) 1,000,000. */
  readonly complexityLimit?: number;
};

/** What is known about one instruction of an accepted program. */
export type VerifiedInsn = {
  /** Some path reaches it; others are dead and are not compiled. */
  readonly seen: boolean;
  /** A helper call whose map is always the same one: its index in `maps`, else -1. */
  readonly mapIndex: number;
  /** A load through a pointer that may lead nowhere: it gives zero then. */
  readonly mayFault: boolean;
  /** A map helper call whose key is always the same constant. */
  readonly mapKey: bigint | undefined;
};

export type VerifiedSubprog = {
  readonly name: string;
  /** First instruction, and one past the last. */
  readonly start: number;
  readonly end: number;
  /** Bytes of stack it uses. */
  readonly stackDepth: number;
  readonly isCallback: boolean;
  readonly hasTailCall: boolean;
};

/** Where and why a program was refused, beyond the kernel's message. */
export type Explanation = {
  /** Instruction that was refused, -1 when the program was refused as a whole. */
  readonly insn: number;
  readonly source: LineInfo | undefined;
  /** Earlier instructions that made the offending registers what they are, oldest first: one line each. */
  readonly history: readonly string[];
  /** One sentence: what to change. */
  readonly hint: string;
};

export type Verdict = {
  readonly ok: boolean;
  /** Error number of bpf(2), 0 when accepted. */
  readonly errno: number;
  /** The last line of the kernel's log; '' when accepted. */
  readonly message: string;
  readonly log: string;
  /** Instructions walked, as in "processed N insns". */
  readonly processed: number;
  readonly insns: readonly VerifiedInsn[];
  readonly subprogs: readonly VerifiedSubprog[];
  /** Byte offsets of context fields that the program loads and stores. */
  readonly ctxRead: ReadonlySet<number>;
  readonly ctxWritten: ReadonlySet<number>;
  /** Helper numbers called. */
  readonly helpers: ReadonlySet<number>;
  readonly changesPacketData: boolean;
  readonly explanation: Explanation | undefined;
};

/** Instructions a program may have without CAP_BPF. */
const BPF_MAXINSNS = 4096;

/** Verifies a program. Never throws for what a program contains; takes time in proportion to the instructions walked. */
export function verify(spec: ProgramSpec, options: VerifyOptions = {}): Verdict {
  const mode = options.mode ?? 'root';
  const log = new Log(options.logLevel ?? 0);
  const v = new Verifier(spec, mode, log, options.cpus, options.complexityLimit);
  let failure: Reject | undefined;
  try {
    check(v);
  } catch (error) {
    if (!(error instanceof Reject)) throw error;
    failure = error;
    if (error.message !== '') log.line(error.message);
    log.write(error.details);
  }
  if (log.level !== 0) logStatistics(v);
  return {
    ok: failure === undefined,
    errno: failure?.errno ?? 0,
    message: failure?.message ?? '',
    log: log.text(),
    processed: v.processed,
    insns: v.info.map((i) => ({
      seen: i.seen,
      mapIndex: i.mapIndex >= 0 ? i.mapIndex : -1,
      mapKey: i.mapKey,
      mayFault: i.mayFault,
    })),
    subprogs: v.subprogs.map(({ name, start, end, stackDepth, isCallback, hasTailCall }) => ({
      name,
      start,
      end,
      stackDepth,
      isCallback,
      hasTailCall,
    })),
    ctxRead: v.ctxRead,
    ctxWritten: v.ctxWritten,
    helpers: v.helpers,
    changesPacketData: v.changesPacketData,
    explanation: failure === undefined ? undefined : explain(v, failure),
  };
}

function logStatistics(v: Verifier): void {
  if ((v.log.level & LOG_STATS) !== 0) v.log.write(`stack depth ${v.subprogs.map((s) => s.stackDepth).join('+')}\n`);
  v.log.write(
    `processed ${v.processed} insns (limit ${v.complexityLimit}) max_states_per_insn ${v.maxStatesPerInsn} ` +
      `total_states ${v.totalStates} peak_states ${v.peakStates} mark_read 0\n`,
  );
}

function check(v: Verifier): void {
  const { spec } = v;
  const count = spec.insns.length;
  if (count === 0 || count > (v.bpfCapable ? BPF_COMPLEXITY_LIMIT_INSNS : BPF_MAXINSNS)) v.reject(E2BIG, '');
  checkMayLoad(v);
  const context = {
    maps: spec.maps,
    bpfCapable: v.bpfCapable,
    checkKfunc: (insn: Insn) => checkKfuncKnown(v, insn),
    // There are no kernel variables here.
    checkBtfId: (pc: number) => {
      const { imm } = spec.insns[pc];
      return imm < 0
        ? refuse(`ldimm64 insn specifies invalid btf_id ${imm}.`, ENOENT)
        : refuse(`pseudo btf_id ${imm} in ldimm64 isn't KIND_VAR or KIND_FUNC`);
    },
  };
  const starts = findSubprogs(spec.insns, context);
  if (!Array.isArray(starts)) return v.reject(starts.errno, starts.message);
  if (v.log.everyPath) for (const [i, start] of starts.entries()) v.log.write(`func#${i} @${start}\n`);
  const wrong = checkStructure(spec.insns, starts, context);
  if (wrong !== undefined) return v.reject(wrong.errno, wrong.message);
  v.subprogs = starts.map((start, i) => subprogAt(v, start, starts[i + 1] ?? count, i));
  checkMaps(v);
  for (const [i, s] of v.subprogs.entries()) s.isGlobal = i > 0 && prototypeOf(v, i)?.linkage === 'global';
  checkCfg(v);
  computeLoops(v);
  computeLiveRegs(v);
  if (v.log.everyPath) logLiveRegs(v);
  walkFrom(v, 0);
  for (let i = 1; i < v.subprogs.length; i++) {
    const s = v.subprogs[i];
    if (!s.isGlobal || !s.called || s.verified) continue;
    walkFrom(v, i);
    s.verified = true;
    v.log.line(`Func#${i} ('${s.name}') is safe for any args that match its prototype`);
    // It may have called global functions that come before it.
    i = 0;
  }
  checkStackDepth(v);
}

function checkMayLoad(v: Verifier): void {
  const { type, expectedAttachType, flags } = v.spec;
  const error = checkLoad(type, expectedAttachType, flags, v.mode);
  if (error !== undefined) v.reject(error.errno, error.message);
  if (!needsBtf(type)) return;
  if (type !== BPF_PROG_TYPE_TRACING)
    v.reject(EINVAL, `netloom does not support programs of type ${PROG_TYPE_NAMES[type]}`);
  const problem = targetProblem(v.spec.target ?? '', expectedAttachType);
  if (problem !== '') v.reject(EINVAL, problem);
}

const TAIL_CALL = 12;

function subprogAt(v: Verifier, start: number, end: number, index: number): Subprog {
  let hasTailCall = false;
  let hasLdAbs = false;
  for (let pc = start; pc < end; pc++) {
    const { code, src, imm } = v.insns[pc];
    if (code === 0x85 && src === 0 && imm === TAIL_CALL) hasTailCall = true;
    if ((code & 7) === 0 && ((code & 0xe0) === 0x20 || (code & 0xe0) === 0x40)) hasLdAbs = true;
  }
  const type = v.spec.funcInfo?.find((f) => f.insn === start);
  const name = type === undefined ? '' : (v.spec.btf?.func(type.typeId)?.name ?? '');
  return {
    name: name !== '' ? name : index === 0 ? v.spec.name : `sub_${start}`,
    start,
    end,
    stackDepth: 0,
    hasTailCall,
    tailCallReachable: false,
    hasLdAbs,
    changesPacketData: false,
    isGlobal: false,
    isCallback: false,
    isAsyncCallback: false,
    called: index === 0,
    verified: false,
  };
}

/** Maps that the program may name; callbacks need func_info that says they are static functions. */
function checkMaps(v: Verifier): void {
  checkProgramMaps(v);
  if (v.spec.funcInfo !== undefined || v.spec.btf !== undefined) return;
  for (let pc = 0; pc < v.insns.length; pc++) if (isPseudoFunc(v.insns[pc])) v.reject(EINVAL, 'missing btf func_info');
}

function logLiveRegs(v: Verifier): void {
  v.log.write('Live regs before insn:\n');
  for (let pc = 0; pc < v.insns.length; pc++) {
    let regs = '';
    for (let r = 0; r < 10; r++) regs += ((v.info[pc].liveRegs >> r) & 1) !== 0 ? r : '.';
    const loop = v.info[pc].scc === 0 ? '   ' : String(v.info[pc].scc).padStart(3);
    v.log.write(`${loop} ${String(pc).padStart(3)}: ${regs} ${disasmInsn(v.insns, pc)}\n`);
    if (v.insns[pc].code === 0x18) pc++;
  }
}

/** Walks one function: the main program with its context, a global one with any arguments. */
function walkFrom(v: Verifier, index: number): void {
  const frame = newFrame(-1, 0, index);
  v.state = new State();
  v.state.frames.push(frame);
  v.state.inSleepable = (v.spec.flags & 16) !== 0;
  v.insn = v.subprogs[index].start;
  v.state.firstInsn = v.insn;
  v.prevInsn = -1;
  v.explored.clear();
  v.pending.length = 0;
  v.loopVisits.clear();
  if (index === 0) setPointer(frame.regs[1], PTR_TO_CTX);
  else {
    v.log.line(`Validating ${v.subprogs[index].name}() func#${index}...`);
    setGlobalArgs(v, index, frame);
  }
  const start = v.log.position;
  if (v.log.verbose) v.log.write(`${v.insn}:${stateText(v, v.state, 0, true)}\n`);
  walkAll(v);
  // The log of a walk that found nothing is kept only at level 2.
  if (v.log.verbose && !v.log.everyPath) v.log.reset(start);
}
