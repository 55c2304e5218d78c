/** Results of checks, and the two formats that CI systems read: TAP (version 13) and JUnit XML. */

export type CheckResult = {
  /** File the check comes from. */
  readonly file: string;
  readonly name: string;
  readonly ok: boolean;
  /** What differs, in lines; empty when ok. */
  readonly problem: string;
  readonly ms: number;
};

/** TAP 13, with the difference as a YAML block. */
export function toTap(results: readonly CheckResult[]): string {
  const lines = ['TAP version 13', `1..${results.length}`];
  results.forEach((r, i) => {
    lines.push(`${r.ok ? 'ok' : 'not ok'} ${i + 1} - ${r.file}: ${r.name.replaceAll('#', '\\#')}`);
    if (!r.ok)
      lines.push(
        '  ---',
        '  message: |',
        ...r.problem
          .trimEnd()
          .split('\n')
          .map((l) => `    ${l}`),
        '  ...',
      );
  });
  return `${lines.join('\n')}\n`;
}

function xml(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: XML 1.0 has no way to write these
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
  );
}

/** JUnit XML, one suite per file. */
export function toJunit(results: readonly CheckResult[]): string {
  const files = [...new Set(results.map((r) => r.file))];
  const seconds = (list: readonly CheckResult[]): string => (list.reduce((sum, r) => sum + r.ms, 0) / 1000).toFixed(3);
  const failures = (list: readonly CheckResult[]): number => list.filter((r) => !r.ok).length;
  const suites = files.map((file) => {
    const own = results.filter((r) => r.file === file);
    const cases = own.map((r) => {
      const head = `    <testcase classname="${xml(file)}" name="${xml(r.name)}" time="${(r.ms / 1000).toFixed(3)}"`;
      if (r.ok) return `${head}/>`;
      const first = r.problem.split('\n')[0];
      return `${head}>\n      <failure message="${xml(first)}">${xml(r.problem)}</failure>\n    </testcase>`;
    });
    return `  <testsuite name="${xml(file)}" tests="${own.length}" failures="${failures(own)}" time="${seconds(own)}">\n${cases.join('\n')}\n  </testsuite>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites tests="${results.length}" failures="${failures(results)}" time="${seconds(results)}">\n${suites.join('\n')}\n</testsuites>\n`;
}
