/**
 * One measured figure: ours, a peer's in the same run, and the ratio of the two (ours over peer, times; below 1 is faster).
 */
export type Figure = {
  readonly name: string;
  readonly ours: string;
  readonly peer: string;
  readonly ratio: number;
  readonly note: string;
};

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
