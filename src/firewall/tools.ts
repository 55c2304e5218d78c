/** The tools that scripts and commands can call, by name. */
import type { Tool } from '../tools/io.ts';
import { ip } from '../tools/ip/main.ts';
import { sysctl } from '../tools/sysctl/sysctl.ts';

export const TOOLS: Readonly<Record<string, Tool>> = {
  ip,
  sysctl,
};
