/** The one error of the object loader, BTF and CO-RE: which section, at which byte of it, and what is wrong there. */

/** `message` reads "SECTION+0xOFFSET: what is wrong"; `offset` counts from the start of the section. */
export class LoadError extends Error {
  readonly section: string;
  readonly offset: number;
  /** What is wrong, without the place. */
  readonly problem: string;

  constructor(section: string, offset: number, problem: string) {
    super(`${section}+0x${offset.toString(16)}: ${problem}`);
    this.name = 'LoadError';
    this.section = section;
    this.offset = offset;
    this.problem = problem;
  }
}
