/** What ipset says when the kernel refuses (ipset(8)): the number means what the command and the kind of set say. */
import { EEXIST, ENOENT } from '../../core/errno.ts';
import * as U from '../../wire/uapi/ipset.ts';

/** A command that cannot be carried out: exit code 1, or 2 for wrong usage. */
export class IpsetError extends Error {
  readonly code: number;

  constructor(message: string, code = 1) {
    super(message);
    this.name = 'IpsetError';
    this.code = code;
  }
}

/** Text of the parser's complaints. */
export const syntax = (message: string): IpsetError => new IpsetError(`Syntax error: ${message}`);

type Texts = Readonly<Record<number, string>>;

const BY_COMMAND: Readonly<Record<number, Texts>> = {
  [U.IPSET_CMD_CREATE]: { [EEXIST]: 'Set cannot be created: set with the same name already exists' },
  [U.IPSET_CMD_DESTROY]: { [U.IPSET_ERR_BUSY]: 'Set cannot be destroyed: it is in use by a kernel component' },
  [U.IPSET_CMD_RENAME]: {
    [U.IPSET_ERR_EXIST_SETNAME2]: 'Set cannot be renamed: a set with the new name already exists',
    [U.IPSET_ERR_REFERENCED]: 'Set cannot be renamed: it is in use by another system',
  },
  [U.IPSET_CMD_SWAP]: {
    [U.IPSET_ERR_EXIST_SETNAME2]: 'Sets cannot be swapped: the second set does not exist',
    [U.IPSET_ERR_TYPE_MISMATCH]: 'The sets cannot be swapped: their type does not match',
  },
  [U.IPSET_CMD_ADD]: { [U.IPSET_ERR_EXIST]: "Element cannot be added to the set: it's already added" },
  [U.IPSET_CMD_DEL]: { [U.IPSET_ERR_EXIST]: "Element cannot be deleted from the set: it's not added" },
};

const BY_METHOD: Readonly<Record<string, Texts>> = {
  hash: {
    [U.IPSET_ERR_HASH_FULL]: 'Hash is full, cannot add more elements',
    [U.IPSET_ERR_HASH_ELEM]: 'Null-valued element, cannot be stored in a hash type of set',
    [U.IPSET_ERR_INVALID_PROTO]: 'Invalid protocol specified',
    [U.IPSET_ERR_MISSING_PROTO]: 'Protocol missing, but must be specified',
    [U.IPSET_ERR_HASH_RANGE_UNSUPPORTED]: 'Range is not supported in the "net" component of the element',
    [U.IPSET_ERR_HASH_RANGE]: 'Invalid range, covers the whole address space',
  },
  bitmap: {
    [U.IPSET_ERR_BITMAP_RANGE]: 'Element is out of the range of the set',
    [U.IPSET_ERR_BITMAP_RANGE_SIZE]: 'The range you specified exceeds the size limit of the set type',
  },
  list: {
    [U.IPSET_ERR_NAME]: 'Set to be added/deleted/tested as element does not exist.',
    [U.IPSET_ERR_LOOP]: 'Sets with list:set type cannot be added to the set.',
    [U.IPSET_ERR_BEFORE]: 'No reference set specified.',
    [U.IPSET_ERR_NAMEREF]: "The set to which you referred with 'before' or 'after' does not exist.",
    [U.IPSET_ERR_LIST_FULL]: 'The set is full, more elements cannot be added.',
    [U.IPSET_ERR_REF_EXIST]: "The set to which you referred with 'before' or 'after' is not added to the set.",
  },
};

const GENERAL: Texts = {
  [ENOENT]: 'The set with the given name does not exist',
  [U.IPSET_ERR_PROTOCOL]: 'Kernel error received: ipset protocol error',
  [U.IPSET_ERR_FIND_TYPE]: 'Kernel error received: set type not supported',
  [U.IPSET_ERR_MAX_SETS]: 'Kernel error received: maximal number of sets reached, cannot create more',
  [U.IPSET_ERR_TYPE_MISMATCH]: 'Set cannot be created: set with the same name already exists',
  [U.IPSET_ERR_INVALID_CIDR]: 'The value of the CIDR parameter of the IP address is invalid',
  [U.IPSET_ERR_INVALID_NETMASK]: 'The value of the netmask parameter is invalid',
  [U.IPSET_ERR_INVALID_FAMILY]: 'Protocol family not supported by the set type',
  [U.IPSET_ERR_TIMEOUT]: 'Timeout cannot be used: set was created without timeout support',
  [U.IPSET_ERR_IPADDR_IPV4]: 'An IPv4 address is expected, but not received',
  [U.IPSET_ERR_IPADDR_IPV6]: 'An IPv6 address is expected, but not received',
  [U.IPSET_ERR_COUNTER]: 'Packet/byte counters cannot be used: set was created without counter support',
  [U.IPSET_ERR_COMMENT]: 'Comment cannot be used: set was created without comment support',
  [U.IPSET_ERR_INVALID_MARKMASK]: 'The value of the markmask parameter is invalid',
  [U.IPSET_ERR_SKBINFO]: 'Skbinfo mapping cannot be used: set was created without skbinfo support',
  [U.IPSET_ERR_BITMASK_NETMASK_EXCL]: 'netmask and bitmask options are mutually exclusive, provide only one',
};

/** The text for an error number. */
export function kernelText(errno: number, command: number, method: string | undefined): string {
  return (
    BY_COMMAND[command]?.[errno] ??
    (method === undefined ? undefined : BY_METHOD[method]?.[errno]) ??
    GENERAL[errno] ??
    `Kernel error received: error code ${errno}`
  );
}
