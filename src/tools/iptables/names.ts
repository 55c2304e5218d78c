/** Protocol and service names, and syslog levels. */
import { protocolByName, protocolByNumber, serviceByName, serviceByPort } from '../../wire/services.ts';

/** Name of a protocol number; undefined when it has none. 0 is every protocol. */
export function protocolName(number: number): string | undefined {
  return number === 0 ? undefined : protocolByNumber.get(number);
}

const OWN: ReadonlyMap<string, number> = new Map([
  ['all', 0],
  ['icmpv6', 58],
  ['ipv6-mh', 135],
  ['mh', 135],
]);

/** Number of a protocol name; undefined when it is unknown. */
export function protocolNumber(name: string): number | undefined {
  return OWN.get(name) ?? protocolByName.get(name);
}

/** Ports whose services speak UDP only: TCP listings show their number, and the other way round. */
const UDP_ONLY: ReadonlySet<number> = new Set([
  67, 68, 69, 123, 137, 138, 177, 319, 320, 500, 517, 518, 520, 546, 547, 4569, 5353,
]);
const TCP_ONLY: ReadonlySet<number> = new Set([
  1, 11, 15, 17, 20, 21, 22, 23, 25, 43, 70, 79, 80, 102, 104, 110, 113, 119, 135, 139, 143, 179, 199, 209, 210, 345,
  346, 444, 465, 487, 515, 540, 543, 544, 548, 563, 587, 706, 749, 873, 989, 990, 992, 993, 995, 1080, 1433, 3306, 3389,
  3690, 5222, 5269, 5432, 6000, 9418, 10000,
]);

/** Port of a service name. */
export function servicePort(name: string, _proto: number): number | undefined {
  return serviceByName.get(name);
}

/** Service name of a port of TCP or UDP. */
export function serviceName(port: number, proto: number): string | undefined {
  if ((proto === 6 && UDP_ONLY.has(port)) || (proto === 17 && TCP_ONLY.has(port))) return undefined;
  return serviceByPort.get(port);
}

const LEVELS: readonly string[] = ['emerg', 'alert', 'crit', 'error', 'warning', 'notice', 'info', 'debug'];
const LEVEL_ALIASES: ReadonlyMap<string, number> = new Map([
  ['panic', 0],
  ['err', 3],
  ['warn', 4],
]);

/** syslog(3) level by name or number. */
export function logLevel(text: string): number | undefined {
  if (/^[0-7]$/.test(text)) return Number(text);
  const word = text.toLowerCase();
  const index = LEVELS.indexOf(word);
  return index >= 0 ? index : LEVEL_ALIASES.get(word);
}
export function logLevelName(level: number): string {
  return LEVELS[level];
}
