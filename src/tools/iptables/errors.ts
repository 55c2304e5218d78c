/** How iptables says no: exit status and text (iptables(8), "DIAGNOSTICS"). */

/** Exit status: other problems, bad parameters, version problems, resource problems (the kernel refused for want of something). */
export const OTHER_PROBLEM = 1;
export const PARAMETER_PROBLEM = 2;
export const RESOURCE_PROBLEM = 4;

export class IptablesError extends Error {
  /** Exit status. */
  readonly code: number;
  /** True when the text stands alone, without the program's name before it. */
  readonly bare: boolean;
  /** What the kernel said. */
  readonly errno: number | undefined;

  constructor(code: number, message: string, bare = false, errno?: number) {
    super(message);
    this.name = 'IptablesError';
    this.code = code;
    this.bare = bare;
    this.errno = errno;
  }
}

/** A wrong argument: exit status 2. */
export function problem(message: string): IptablesError {
  return new IptablesError(PARAMETER_PROBLEM, message);
}
