/** netloom's own kernel types and tracing points. */
export {
  checkArgumentAccess,
  checkRecordAccess,
  checkStructAccess,
  checkTracingContext,
  contextBytes,
  type Loaded,
  targetProblem,
  tracePoint,
} from './access.ts';
export type { Member, StructLayout, TypeRef } from './declaration.ts';
export { buildOwnBtf } from './own-btf.ts';
export { type Argument, TRACE_POINTS, type TracePoint } from './points.ts';
export { offsetOf, STRUCTS, sizeOf } from './structs.ts';
