/** A netloom host with the iptables tools by the names that a shell knows them by. */
import { World } from '../src/core/world.ts';
import { Nfnetlink } from '../src/netlink/nfnetlink.ts';
import { Host } from '../src/netns/host.ts';
import type { ToolIo, ToolResult } from '../src/tools/io.ts';
import { applet } from '../src/tools/iptables/applets.ts';
import { nft } from '../src/tools/nft/index.ts';

/** Extensions that the kernel of the recordings was built without. */
export const ABSENT: readonly string[] = ['ipvs', 'LED', 'CLUSTERIP'];

export type Shell = {
  readonly io: ToolIo;
  /** Runs a program; `variant` chooses which face plain names stand for. */
  run(argv: readonly string[], stdin?: string): ToolResult;
};

/** A fresh host. */
export function shell(
  variant: 'nft' | 'legacy',
  absent: readonly string[] = [],
  release = '1.8.9',
  readFile?: (path: string) => string,
): Shell {
  const { nftables } = new Host(new World({ slots: 64 }), 'host');
  for (const name of absent) nftables.xt.absent.add(name);
  const nfnetlink = new Nfnetlink(nftables);
  const io: ToolIo = {
    netlink: { open: () => ({ send: (datagram) => nfnetlink.handle(datagram) }) },
    ...(readFile && { readFile }),
  };
  return {
    io,
    run([program, ...args], stdin) {
      const withInput = stdin === undefined ? io : { ...io, stdin };
      if (program === 'nft') return nft(args, withInput);
      const tool = applet(program, variant, release);
      if (tool === undefined) return { code: 127, stdout: '', stderr: `${program}: not found\n` };
      return tool(args, withInput);
    },
  };
}
