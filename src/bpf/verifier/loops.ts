/**
 * Paths that come back, inside a loop, to a state like one they came through. What the loop depends on exactly is known
 * only when all paths through it have ended; until then states are compared with their ranges, and then precision flows
 * along the back edges until nothing new comes. Loops are strongly connected components of the control flow (`scc.ts`),
 * each by the chain of calls that leads into it.
 */
import type { Verifier } from './env.ts';
import { markEverything, propagatePrecision } from './precision.ts';
import type { State } from './state.ts';

/** What is open about one loop. */
export type LoopVisit = {
  readonly name: string;
  /** The first state recorded in it; when no path goes on from there, the loop has been walked. */
  entry: State | undefined;
  backEdges: { readonly to: State; readonly from: State }[];
};

/** Rounds after which everything is taken to matter. */
const MAX_ROUNDS = 64;

/** "(callsite,callsite,component)" of the outermost loop a state stands in; undefined outside of loops. */
function loopOf(v: Verifier, state: State): string | undefined {
  let chain = '(';
  for (let f = 0; f <= state.depth; f++) {
    const pc = f === state.depth ? state.insn : state.frames[f + 1].callsite;
    const { scc } = v.info[pc];
    if (scc !== 0) return `${chain}${scc})`;
    chain += `${pc},`;
  }
  return undefined;
}

function log(v: Verifier, what: string, loop: string): void {
  if (v.log.everyPath) v.log.write(`SCC ${what} ${loop}\n`);
}

/** A state was recorded. */
export function enterLoop(v: Verifier, recorded: State): void {
  const name = loopOf(v, recorded);
  if (name === undefined) return;
  let visit = v.loopVisits.get(name);
  if (visit === undefined) {
    visit = { name, entry: undefined, backEdges: [] };
    v.loopVisits.set(name, visit);
  }
  recorded.loop = visit;
  if (visit.entry !== undefined) return;
  visit.entry = recorded;
  log(v, 'enter', name);
}

/** All paths from a recorded state have ended. */
export function leaveLoop(v: Verifier, recorded: State): void {
  const visit = recorded.loop;
  if (visit?.entry !== recorded) return;
  log(v, 'exit', visit.name);
  visit.entry = undefined;
  let changed = true;
  for (let round = 0; changed; round++) {
    if (round === MAX_ROUNDS) {
      for (const edge of visit.backEdges) markEverything(v, edge.from);
      break;
    }
    changed = false;
    for (const edge of visit.backEdges) if (propagatePrecision(v, edge.to, edge.from)) changed = true;
  }
  v.statesKept -= visit.backEdges.length;
  visit.backEdges = [];
}

/** What paths from this state depend on may not be known yet. */
export function marksIncomplete(recorded: State): boolean {
  return recorded.loop !== undefined && recorded.loop.backEdges.length > 0;
}

/** The path of `from` ends where `to` was recorded in the same loop. */
export function addBackEdge(v: Verifier, to: State, from: State): void {
  const visit = to.loop;
  if (visit === undefined) return;
  log(v, 'backedge', visit.name);
  visit.backEdges.unshift({ to, from });
  v.statesKept++;
  v.peakStates = Math.max(v.peakStates, v.statesKept);
}
