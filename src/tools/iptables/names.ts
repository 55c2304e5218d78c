/** Protocol and service names (the common lines of /etc/protocols and /etc/services), and syslog levels. */

const PROTOCOLS: readonly (readonly [number, string])[] = [
  [1, 'icmp'],
  [2, 'igmp'],
  [3, 'ggp'],
  [4, 'ipencap'],
  [5, 'st'],
  [6, 'tcp'],
  [8, 'egp'],
  [9, 'igp'],
  [12, 'pup'],
  [17, 'udp'],
  [20, 'hmp'],
  [22, 'xns-idp'],
  [27, 'rdp'],
  [29, 'iso-tp4'],
  [33, 'dccp'],
  [36, 'xtp'],
  [37, 'ddp'],
  [38, 'idpr-cmtp'],
  [41, 'ipv6'],
  [43, 'ipv6-route'],
  [44, 'ipv6-frag'],
  [45, 'idrp'],
  [46, 'rsvp'],
  [47, 'gre'],
  [50, 'esp'],
  [51, 'ah'],
  [57, 'skip'],
  [58, 'ipv6-icmp'],
  [59, 'ipv6-nonxt'],
  [60, 'ipv6-opts'],
  [73, 'rspf'],
  [81, 'vmtp'],
  [88, 'eigrp'],
  [89, 'ospf'],
  [93, 'ax.25'],
  [94, 'ipip'],
  [97, 'etherip'],
  [98, 'encap'],
  [103, 'pim'],
  [108, 'ipcomp'],
  [112, 'vrrp'],
  [115, 'l2tp'],
  [124, 'isis'],
  [132, 'sctp'],
  [133, 'fc'],
  [135, 'mobility-header'],
  [136, 'udplite'],
  [137, 'mpls-in-ip'],
  [138, 'manet'],
  [139, 'hip'],
  [140, 'shim6'],
  [141, 'wesp'],
  [142, 'rohc'],
];
const NAME_OF: ReadonlyMap<number, string> = new Map(PROTOCOLS);
const NUMBER_OF: ReadonlyMap<string, number> = new Map([
  ...PROTOCOLS.flatMap(([number, name]): [string, number][] => [
    [name, number],
    [name.toUpperCase(), number],
  ]),
  ['ip', 0],
  ['all', 0],
  ['icmpv6', 58],
  ['ipv6-mh', 135],
  ['mh', 135],
]);

/** Name of a protocol number; undefined when it has none. */
export function protocolName(number: number): string | undefined {
  return NAME_OF.get(number);
}

/** Number of a protocol name; undefined when it is unknown. */
export function protocolNumber(name: string): number | undefined {
  return NUMBER_OF.get(name);
}

/** Service, port; 't' or 'u' when only one of TCP and UDP has it. */
const SERVICES =
  'tcpmux 1t echo 7 discard 9 systat 11t daytime 13 netstat 15t qotd 17t chargen 19 ftp-data 20t ftp 21t ssh 22t telnet 23t ' +
  'smtp 25t time 37 whois 43t tacacs 49 domain 53 bootps 67u bootpc 68u tftp 69u gopher 70t finger 79t http 80t kerberos 88 ' +
  'iso-tsap 102t acr-nema 104t pop3 110t sunrpc 111 auth 113t nntp 119t ntp 123u epmap 135t netbios-ns 137u netbios-dgm 138u ' +
  'netbios-ssn 139t imap2 143t snmp 161 snmp-trap 162 cmip-man 163 xdmcp 177u bgp 179t irc 194 smux 199t qmtp 209t z3950 210t ' +
  'ipx 213u ptp-event 319u ptp-general 320u pawserv 345t zserv 346t rpc2portmap 369 codaauth2 370 clearcase 371u ldap 389 ' +
  'svrloc 427 https 443 snpp 444t microsoft-ds 445 kpasswd 464 submissions 465t saft 487t isakmp 500u exec 512t biff 512u ' +
  'login 513t who 513u shell 514t syslog 514u printer 515t talk 517u ntalk 518u route 520u gdomap 538 uucp 540t klogin 543t ' +
  'kshell 544t dhcpv6-client 546u dhcpv6-server 547u afpovertcp 548t rtsp 554 nntps 563t submission 587t nqs 607t ipp 631 ' +
  'ldaps 636 tinc 655 silc 706t kerberos-adm 749t domain-s 853 rsync 873t ftps-data 989t ftps 990t telnets 992t imaps 993t ' +
  'pop3s 995t socks 1080t proofd 1093t rootd 1094t openvpn 1194 rmiregistry 1099t lotusnote 1352t ms-sql-s 1433t ' +
  'ms-sql-m 1434u ingreslock 1524t datametrics 1645 kermit 1649t groupwise 1677t l2f 1701u radius 1812 radius-acct 1813 ' +
  'cisco-sccp 2000t nfs 2049 gnunet 2086 cvspserver 2401t mysql 3306t rdp 3389t ms-wbt-server 3389t svn 3690t epmd 4369t ' +
  'iax 4569u x11 6000t sip 5060 sip-tls 5061 xmpp-client 5222t xmpp-server 5269t postgresql 5432t amqp 5672t ' +
  'zabbix-agent 10050t zabbix-trapper 10051t webmin 10000t git 9418t ircd 6667t http-alt 8080 amanda 10080t mdns 5353u ' +
  'ntske 4460t irc 6667t';
type Service = { readonly name: string; readonly port: number; readonly only: string };
const LIST: readonly Service[] = [...SERVICES.matchAll(/(\S+) (\d+)([tu]?)/g)].map((m) => ({
  name: m[1],
  port: Number(m[2]),
  only: m[3],
}));
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['www', 'http'],
  ['imap', 'imap2'],
  ['mail', 'smtp'],
  ['portmapper', 'sunrpc'],
  ['ident', 'auth'],
  ['loc-srv', 'epmap'],
  ['router', 'route'],
  ['spooler', 'printer'],
  ['cmd', 'shell'],
  ['snmptrap', 'snmp-trap'],
  ['webcache', 'http-alt'],
]);

function fits(service: Service, proto: number): boolean {
  return service.only === '' || (proto === 6 && service.only === 't') || (proto === 17 && service.only === 'u');
}

/** Port of a service name; for protocols other than UDP the TCP line counts. */
export function servicePort(name: string, proto: number): number | undefined {
  const wanted = ALIASES.get(name) ?? name;
  const found = LIST.filter((service) => service.name === wanted);
  return (found.find((service) => fits(service, proto)) ?? (proto === 6 || proto === 17 ? undefined : found[0]))?.port;
}

/** Service name of a port. */
export function serviceName(port: number, proto: number): string | undefined {
  return LIST.find((service) => service.port === port && fits(service, proto))?.name;
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
