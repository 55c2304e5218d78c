/**
 * Splits a command line into words as a shell does, without being one: quotes and backslashes, and nothing else. What a
 * shell would do more (pipes, variables, globs) is refused by name, never done by half.
 */

/** A command line that only a shell could run. */
export class WordsError extends Error {
  constructor(problem: string) {
    super(problem);
    this.name = 'WordsError';
  }
}

/** The words, and a file that output goes to (`> FILE`), if any. */
export type CommandLine = { readonly words: readonly string[]; readonly output: string | undefined };

/** Splits one line. A comment ("#" at the start of a word) ends it. */
export function splitCommand(line: string): CommandLine {
  const words: string[] = [];
  let output: string | undefined;
  let word: string | undefined;
  let redirect = false;
  const finish = (): void => {
    if (word === undefined) return;
    if (redirect) output = word;
    else words.push(word);
    redirect = false;
    word = undefined;
  };
  for (let i = 0; i < line.length; i++) {
    const c = line[i];
    if (c === "'" || c === '"') {
      word ??= '';
      for (i++; i < line.length && line[i] !== c; i++) {
        if (c === '"' && line[i] === '\\' && i + 1 < line.length && '"\\$`'.includes(line[i + 1])) i++;
        else if (c === '"' && (line[i] === '$' || line[i] === '`'))
          throw new WordsError('netloom runs commands without a shell: variables and substitutions are not supported');
        word += line[i];
      }
      if (i >= line.length) throw new WordsError(`unterminated ${c}`);
    } else if (c === '\\' && i + 1 < line.length) word = (word ?? '') + line[++i];
    else if (/\s/.test(c)) finish();
    else if (c === '#' && word === undefined) break;
    else if (c === '>' && line[i + 1] !== '>' && line[i + 1] !== '&') {
      if (word === '1') word = undefined;
      finish();
      redirect = true;
    } else if ('|&;<>()$`'.includes(c))
      throw new WordsError(`netloom runs commands without a shell: "${c}" is not supported`);
    else word = (word ?? '') + c;
  }
  finish();
  if (redirect) throw new WordsError('a file name is missing behind ">"');
  return { words, output };
}
