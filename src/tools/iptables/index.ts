/** `netloom/iptables`: the iptables tools as functions. */
export { ip6tables, iptables } from './iptables.ts';
export {
  ip6tablesRestore,
  iptablesRestore,
  type LoadedRule,
  RestoreError,
  type RestoreOptions,
  type RestoreResult,
  restoreScript,
} from './restore.ts';
export { ip6tablesSave, iptablesSave, saveText } from './save.ts';
export {
  ip6tablesRestoreTranslate,
  ip6tablesTranslate,
  iptablesRestoreTranslate,
  iptablesTranslate,
} from './translate/index.ts';
