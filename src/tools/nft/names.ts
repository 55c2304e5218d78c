/** What names mean on the host that a tool talks to: interfaces by rtnetlink, users and groups by passwd(5) and group(5). */
import { attrMap, getString } from '../../wire/netlink/attr.ts';
import type { NetlinkTransport } from '../../wire/netlink/message.ts';
import { NetlinkClient } from '../netlink-client.ts';
import type { Names } from './datatype.ts';

const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const IFINFOMSG_LENGTH = 16;
const IFLA_IFNAME = 3;
/** Users that every Linux system has. */
const USERS: Readonly<Record<string, number>> = { root: 0, daemon: 1, bin: 2, sys: 3, nobody: 65534 };

type Read = (path: string) => string | undefined;

/** The third field of the line of `name`. */
function idOf(text: string | undefined, name: string): number | undefined {
  for (const line of text?.split('\n') ?? []) {
    const fields = line.split(':');
    if (fields[0] === name && /^\d+$/.test(fields[2] ?? '')) return Number(fields[2]);
  }
  return undefined;
}

/** Names of one host; interfaces are asked for once, when the first is needed. */
export function hostNames(netlink: NetlinkTransport, read: Read): Names {
  let links: Map<string, number> | undefined;
  const table = (): Map<string, number> => {
    if (links !== undefined) return links;
    links = new Map();
    try {
      const client = new NetlinkClient(netlink.open(0));
      for (const m of client.dump(RTM_GETLINK, new Uint8Array(IFINFOMSG_LENGTH))) {
        if (m.type !== RTM_NEWLINK || m.payload.length < IFINFOMSG_LENGTH) continue;
        const name = attrMap(m.payload, IFINFOMSG_LENGTH).get(IFLA_IFNAME);
        const index = new DataView(m.payload.buffer, m.payload.byteOffset).getInt32(4, true);
        if (name !== undefined) links.set(getString(name.payload), index);
      }
    } catch {
      // A host without rtnetlink has no interfaces by name.
    }
    return links;
  };
  return {
    ifIndex: (name) => table().get(name),
    ifName: (index) => [...table()].find(([, i]) => i === index)?.[0],
    uid: (name) => idOf(read('/etc/passwd'), name) ?? USERS[name],
    gid: (name) => idOf(read('/etc/group'), name) ?? USERS[name],
  };
}
