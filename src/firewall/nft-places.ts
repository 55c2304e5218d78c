import type { RuleName, RulePlace } from './rule-book.ts';
export function nftPlaces(
  _text: string,
  _file: string,
  _read: (path: string) => string,
): { readonly name: RuleName; readonly place: RulePlace }[] {
  return [];
}
