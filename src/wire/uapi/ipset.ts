/** Numbers of the nfnetlink subsystem ipset (linux/netfilter/ipset/ip_set.h, ip_set_hash.h, ip_set_bitmap.h, ip_set_list.h). */

export const IPSET_PROTOCOL = 7;
export const IPSET_PROTOCOL_MIN = 6;
export const IPSET_MAXNAMELEN = 32;

export const IPSET_CMD_PROTOCOL = 1;
export const IPSET_CMD_CREATE = 2;
export const IPSET_CMD_DESTROY = 3;
export const IPSET_CMD_FLUSH = 4;
export const IPSET_CMD_RENAME = 5;
export const IPSET_CMD_SWAP = 6;
export const IPSET_CMD_LIST = 7;
export const IPSET_CMD_SAVE = 8;
export const IPSET_CMD_ADD = 9;
export const IPSET_CMD_DEL = 10;
export const IPSET_CMD_TEST = 11;
export const IPSET_CMD_HEADER = 12;
export const IPSET_CMD_TYPE = 13;
export const IPSET_CMD_GET_BYNAME = 14;
export const IPSET_CMD_GET_BYINDEX = 15;

export const IPSET_ATTR_PROTOCOL = 1;
export const IPSET_ATTR_SETNAME = 2;
export const IPSET_ATTR_TYPENAME = 3;
/** Second name of rename and swap: the same number. */
export const IPSET_ATTR_SETNAME2 = 3;
export const IPSET_ATTR_REVISION = 4;
export const IPSET_ATTR_FAMILY = 5;
export const IPSET_ATTR_FLAGS = 6;
export const IPSET_ATTR_DATA = 7;
export const IPSET_ATTR_ADT = 8;
export const IPSET_ATTR_LINENO = 9;
export const IPSET_ATTR_REVISION_MIN = 10;
export const IPSET_ATTR_INDEX = 11;

/** Attributes inside IPSET_ATTR_DATA. */
export const CADT_IP = 1;
export const CADT_IP_TO = 2;
export const CADT_CIDR = 3;
export const CADT_PORT = 4;
export const CADT_PORT_TO = 5;
export const CADT_TIMEOUT = 6;
export const CADT_PROTO = 7;
export const CADT_FLAGS = 8;
export const CADT_LINENO = 9;
export const CADT_MARK = 10;
export const CADT_MARKMASK = 11;
export const CADT_BITMASK = 12;
export const CADT_INITVAL = 17;
export const CADT_HASHSIZE = 18;
export const CADT_MAXELEM = 19;
export const CADT_NETMASK = 20;
export const CADT_BUCKETSIZE = 21;
export const CADT_SIZE = 23;
export const CADT_ELEMENTS = 24;
export const CADT_REFERENCES = 25;
export const CADT_MEMSIZE = 26;
export const CADT_ETHER = 17;
export const CADT_NAME = 18;
export const CADT_NAMEREF = 19;
export const CADT_IP2 = 20;
export const CADT_CIDR2 = 21;
export const CADT_IP2_TO = 22;
export const CADT_IFACE = 23;
export const CADT_BYTES = 24;
export const CADT_PACKETS = 25;
export const CADT_COMMENT = 26;
export const CADT_SKBMARK = 27;
export const CADT_SKBPRIO = 28;
export const CADT_SKBQUEUE = 29;

export const IPSET_ATTR_IPADDR_IPV4 = 1;
export const IPSET_ATTR_IPADDR_IPV6 = 2;

/** Flags of a command. */
export const IPSET_FLAG_LIST_SETNAME = 2;
export const IPSET_FLAG_LIST_HEADER = 4;
/** Flags in IPSET_ATTR_DATA: of a set, and of an element. */
export const IPSET_FLAG_BEFORE = 1;
export const IPSET_FLAG_PHYSDEV = 2;
export const IPSET_FLAG_NOMATCH = 4;
export const IPSET_FLAG_WITH_COUNTERS = 8;
export const IPSET_FLAG_WITH_COMMENT = 16;
export const IPSET_FLAG_WITH_FORCEADD = 32;
export const IPSET_FLAG_WITH_SKBINFO = 64;
export const IPSET_FLAG_IFACE_WILDCARD = 128;

/** Error numbers of ipset's own, beyond the errnos. */
export const IPSET_ERR_PROTOCOL = 4097;
export const IPSET_ERR_FIND_TYPE = 4098;
export const IPSET_ERR_MAX_SETS = 4099;
export const IPSET_ERR_BUSY = 4100;
export const IPSET_ERR_EXIST_SETNAME2 = 4101;
export const IPSET_ERR_TYPE_MISMATCH = 4102;
export const IPSET_ERR_EXIST = 4103;
export const IPSET_ERR_INVALID_CIDR = 4104;
export const IPSET_ERR_INVALID_NETMASK = 4105;
export const IPSET_ERR_INVALID_FAMILY = 4106;
export const IPSET_ERR_TIMEOUT = 4107;
export const IPSET_ERR_REFERENCED = 4108;
export const IPSET_ERR_IPADDR_IPV4 = 4109;
export const IPSET_ERR_IPADDR_IPV6 = 4110;
export const IPSET_ERR_COUNTER = 4111;
export const IPSET_ERR_COMMENT = 4112;
export const IPSET_ERR_INVALID_MARKMASK = 4113;
export const IPSET_ERR_SKBINFO = 4114;
export const IPSET_ERR_BITMASK_NETMASK_EXCL = 4115;
/** From here on a number means what the kind of set says. */
export const IPSET_ERR_HASH_FULL = 4352;
export const IPSET_ERR_HASH_ELEM = 4353;
export const IPSET_ERR_INVALID_PROTO = 4354;
export const IPSET_ERR_MISSING_PROTO = 4355;
export const IPSET_ERR_HASH_RANGE_UNSUPPORTED = 4356;
export const IPSET_ERR_HASH_RANGE = 4357;
export const IPSET_ERR_BITMAP_RANGE = 4352;
export const IPSET_ERR_BITMAP_RANGE_SIZE = 4353;
export const IPSET_ERR_NAME = 4352;
export const IPSET_ERR_LOOP = 4353;
export const IPSET_ERR_BEFORE = 4354;
export const IPSET_ERR_NAMEREF = 4355;
export const IPSET_ERR_LIST_FULL = 4356;
export const IPSET_ERR_REF_EXIST = 4357;
