/**
 * Control-path errors: an errno, a text and a position, as Linux reports them in a netlink extended acknowledgement.
 * Numbers are the asm-generic ones (errno(3)).
 */

export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const E2BIG = 7;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const EXDEV = 18;
export const ENODEV = 19;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const EFBIG = 27;
export const ENOSPC = 28;
export const EMLINK = 31;
export const EPIPE = 32;
export const EDOM = 33;
export const ERANGE = 34;
export const EDEADLK = 35;
export const ENAMETOOLONG = 36;
export const ELOOP = 40;
export const ENOMSG = 42;
export const ENODATA = 61;
export const ENONET = 64;
export const EPROTO = 71;
export const EBADMSG = 74;
export const EOVERFLOW = 75;
export const EBADFD = 77;
export const ENOTSOCK = 88;
export const EDESTADDRREQ = 89;
export const EMSGSIZE = 90;
export const EPROTOTYPE = 91;
export const ENOPROTOOPT = 92;
export const EPROTONOSUPPORT = 93;
export const ESOCKTNOSUPPORT = 94;
export const EOPNOTSUPP = 95;
export const EAFNOSUPPORT = 97;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ENETDOWN = 100;
export const ENETUNREACH = 101;
export const ENOBUFS = 105;
export const EISCONN = 106;
export const ENOTCONN = 107;
export const ESHUTDOWN = 108;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTDOWN = 112;
export const EHOSTUNREACH = 113;
export const EALREADY = 114;
/** Not in errno(3), but the kernel lets it out of bpf(). */
export const ENOTSUPP = 524;

const TEXT: ReadonlyMap<number, string> = new Map([
  [EPERM, 'Operation not permitted'],
  [ENOENT, 'No such file or directory'],
  [ESRCH, 'No such process'],
  [EINTR, 'Interrupted system call'],
  [EIO, 'Input/output error'],
  [ENXIO, 'No such device or address'],
  [E2BIG, 'Argument list too long'],
  [EBADF, 'Bad file descriptor'],
  [EAGAIN, 'Resource temporarily unavailable'],
  [ENOMEM, 'Cannot allocate memory'],
  [EACCES, 'Permission denied'],
  [EFAULT, 'Bad address'],
  [EBUSY, 'Device or resource busy'],
  [EEXIST, 'File exists'],
  [EXDEV, 'Invalid cross-device link'],
  [ENODEV, 'No such device'],
  [EINVAL, 'Invalid argument'],
  [ENFILE, 'Too many open files in system'],
  [EMFILE, 'Too many open files'],
  [EFBIG, 'File too large'],
  [ENOSPC, 'No space left on device'],
  [EMLINK, 'Too many links'],
  [EPIPE, 'Broken pipe'],
  [EDOM, 'Numerical argument out of domain'],
  [ERANGE, 'Numerical result out of range'],
  [EDEADLK, 'Resource deadlock avoided'],
  [ENAMETOOLONG, 'File name too long'],
  [ELOOP, 'Too many levels of symbolic links'],
  [ENOMSG, 'No message of desired type'],
  [ENODATA, 'No data available'],
  [ENONET, 'Machine is not on the network'],
  [EPROTO, 'Protocol error'],
  [EBADMSG, 'Bad message'],
  [EOVERFLOW, 'Value too large for defined data type'],
  [EBADFD, 'File descriptor in bad state'],
  [ENOTSOCK, 'Socket operation on non-socket'],
  [EDESTADDRREQ, 'Destination address required'],
  [EMSGSIZE, 'Message too long'],
  [EPROTOTYPE, 'Protocol wrong type for socket'],
  [ENOPROTOOPT, 'Protocol not available'],
  [EPROTONOSUPPORT, 'Protocol not supported'],
  [ESOCKTNOSUPPORT, 'Socket type not supported'],
  [EOPNOTSUPP, 'Operation not supported'],
  [EAFNOSUPPORT, 'Address family not supported by protocol'],
  [EADDRINUSE, 'Address already in use'],
  [EADDRNOTAVAIL, 'Cannot assign requested address'],
  [ENETDOWN, 'Network is down'],
  [ENETUNREACH, 'Network is unreachable'],
  [ENOBUFS, 'No buffer space available'],
  [EISCONN, 'Transport endpoint is already connected'],
  [ENOTCONN, 'Transport endpoint is not connected'],
  [ESHUTDOWN, 'Cannot send after transport endpoint shutdown'],
  [ETIMEDOUT, 'Connection timed out'],
  [ECONNREFUSED, 'Connection refused'],
  [EHOSTDOWN, 'Host is down'],
  [EHOSTUNREACH, 'No route to host'],
  [EALREADY, 'Operation already in progress'],
]);

/** strerror(3). */
export function strerror(errno: number): string {
  return TEXT.get(errno) ?? `Unknown error ${errno}`;
}

/**
 * Thrown on the control path only; the netlink handler answers with it (NLMSG_ERROR and extack).
 * The packet path never throws.
 */
export class KernelError extends Error {
  /** Positive errno. */
  readonly errno: number;
  /** The extack text, if any: one sentence without a full stop, as in Linux. */
  readonly extack: string | undefined;
  /** The attribute at fault: its offset in the message's buffer (see `Attr.offset`). */
  readonly at: number | undefined;

  constructor(errno: number, extack?: string, at?: number) {
    super(extack ?? strerror(errno));
    this.name = 'KernelError';
    this.errno = errno;
    this.extack = extack;
    this.at = at;
  }
}
