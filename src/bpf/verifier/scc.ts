/**
 * Loops: their instructions get the number of their strongly connected component (R. Tarjan, 1972; without recursion).
 */
import { successors } from './cfg.ts';
import type { Verifier } from './env.ts';

export function computeLoops(v: Verifier): void {
  const { insns, info } = v;
  const index = new Int32Array(insns.length).fill(-1);
  const low = new Int32Array(insns.length);
  const onStack = new Uint8Array(insns.length);
  const component: number[] = [];
  let counter = 0;
  let components = 0;
  for (const { start } of v.subprogs) {
    if (index[start] >= 0) continue;
    const work: { pc: number; next: number; edges: readonly number[] }[] = [];
    const enter = (pc: number): void => {
      index[pc] = low[pc] = counter++;
      onStack[pc] = 1;
      component.push(pc);
      work.push({ pc, next: 0, edges: successors(insns, pc) });
    };
    enter(start);
    while (work.length > 0) {
      const top = work[work.length - 1];
      if (top.next < top.edges.length) {
        const to = top.edges[top.next++];
        if (to >= insns.length) continue;
        if (index[to] < 0) enter(to);
        else if (onStack[to]) low[top.pc] = Math.min(low[top.pc], index[to]);
        continue;
      }
      work.pop();
      const parent = work[work.length - 1];
      if (parent !== undefined) low[parent.pc] = Math.min(low[parent.pc], low[top.pc]);
      if (low[top.pc] !== index[top.pc]) continue;
      const members: number[] = [];
      let pc: number;
      do {
        pc = component.pop()!;
        onStack[pc] = 0;
        members.push(pc);
      } while (pc !== top.pc);
      const loops = members.length > 1 || top.edges.includes(top.pc);
      if (!loops) continue;
      components++;
      for (const m of members) info[m].scc = components;
    }
  }
}
