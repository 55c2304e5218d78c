/** Names of connection labels (connlabel.conf): a bit number and a name per line, `#` begins a comment. */
export type LabelMap = {
  /** The bit of a name. */
  bit(name: string): number | undefined;
  /** The name of a bit. */
  name(bit: number): string | undefined;
  /** False when there is no file. */
  readonly found: boolean;
};

const FILE = '/etc/xtables/connlabel.conf';

/** Reads the map when it is first asked for; `missing` is told once when there is no file. */
export function labelMap(readFile: ((path: string) => string) | undefined, missing: () => void): LabelMap {
  let names: Map<number, string> | undefined;
  let found = false;
  const load = (): Map<number, string> => {
    if (names !== undefined) return names;
    names = new Map();
    let text = '';
    try {
      if (readFile === undefined) throw new Error('no files');
      text = readFile(FILE);
      found = true;
    } catch {
      missing();
    }
    for (const line of text.split('\n')) {
      const m = /^\s*(\d+)\s+(\S+)/.exec(line);
      if (m !== null && Number(m[1]) < 128) names.set(Number(m[1]), m[2]);
    }
    return names;
  };
  return {
    bit: (name) => [...load()].find(([, known]) => known === name)?.[0],
    name: (bit) => load().get(bit),
    get found() {
      load();
      return found;
    },
  };
}
