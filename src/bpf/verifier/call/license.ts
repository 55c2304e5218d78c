/** License strings that open the GPL-only helpers and kernel functions (linux/license.h). */
const GPL: ReadonlySet<string> = new Set([
  'GPL',
  'GPL v2',
  'GPL and additional rights',
  'Dual BSD/GPL',
  'Dual MIT/GPL',
  'Dual MPL/GPL',
]);

export const isGplCompatible = (license: string): boolean => GPL.has(license);
