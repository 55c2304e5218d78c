/** Filter expressions: see README.md. */
export { compileFilter, type FilterOptions } from './compile.ts';
export { FilterError } from './lexer.ts';
export type { Resolver } from './scope.ts';
