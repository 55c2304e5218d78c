/** The object loader's public names. */
export { LoadError } from '../load-error.ts';
export { loadObject } from './object.ts';
export { type Global, Globals, type LiveValue, type OpenObject, openObject } from './skeleton.ts';
export type { BpfObject, KconfigValue, LoadOptions, MapSlot, ObjectMap, ObjectProgram } from './types.ts';
