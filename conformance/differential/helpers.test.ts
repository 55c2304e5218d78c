/**
 * Helpers against this kernel: control connections through both, with and without NAT; what leaves, byte for byte, the tables
 * of expectations, and whether the announced connections are let through.
 */
import { expect, test } from 'vitest';
import { conntrack } from '../../src/tools/conntrack/main.ts';
import { Conversation, frame, type Send, type Side } from './conversation.ts';
import { loadNft } from './load-nft.ts';
import { NetloomPeer } from './netloom-peer.ts';
import { KernelPeer, whyNoKernel } from './peer.ts';

const HELPERS: readonly (readonly [name: string, protocol: 'tcp' | 'udp', port: number])[] = [
  ['ftp', 'tcp', 21],
  ['tftp', 'udp', 69],
  ['irc', 'tcp', 6667],
  ['sane', 'tcp', 6566],
  ['amanda', 'udp', 10080],
  ['sip', 'udp', 5060],
  ['pptp', 'tcp', 1723],
];

/** Only control connections and what is related to them pass. */
function rules(nat: string): string {
  const named = (n: string, p: string): string => `${n.replace('-', '')}_${p}`;
  return `table inet h {
${HELPERS.map(([n, p]) => `  ct helper ${named(n, p)} { type "${n}" protocol ${p}; }`).join('\n')}
  chain pre { type filter hook prerouting priority 0;
${HELPERS.map(([n, p, port]) => `    ${p} dport ${port} ct helper set "${named(n, p)}"`).join('\n')}
  }
  chain forward { type filter hook forward priority 0; policy drop;
    ct state established,related accept
    tcp dport { 21, 6667, 6566, 1723 } accept
    udp dport { 69, 10080, 5060 } accept
  }
}
${nat}`;
}

const SNAT = `table ip n {
  chain post { type nat hook postrouting priority 100;
    oifname "t1" ip saddr 10.0.0.0/24 snat to 10.0.1.200
  }
}
table ip6 n6 {
  chain post { type nat hook postrouting priority 100;
    oifname "t1" ip6 saddr fd00::/64 snat to fd01::77
  }
}`;
const DNAT = `table ip n {
  chain pre { type nat hook prerouting priority -100;
    iifname "t1" ip daddr 10.0.1.1 dnat to 10.0.0.2
  }
}`;

type Step = (talk: {
  open(protocol: 6 | 17, side: Side, from: string, to: string): Conversation;
  gre(side: Side, src: string, dst: string, callId: number): Promise<boolean>;
}) => Promise<string[]>;

function ends(text: string): [string, number] {
  const at = text.lastIndexOf(' ');
  return [text.slice(0, at), Number(text.slice(at + 1))];
}

async function ftpActive(
  talk: Parameters<Step>[0],
  a: string,
  b: string,
  command: string,
  data: string,
): Promise<string[]> {
  const c = talk.open(6, 0, `${a} 4000`, `${b} 21`);
  const log = [`open ${await c.open(0)}`];
  await c.say(1, '220 hello\r\n');
  await c.say(0, 'USER x\r\n');
  await c.say(1, '331 yes\r\n');
  log.push(`command ${await c.say(0, command)}`);
  log.push(`answer ${await c.say(1, '200 ok\r\n')}`);
  await c.say(0, 'LIST\r\n');
  const [to, port] = ends(data);
  const d = talk.open(6, 1, `${b} 20`, `${to} ${port}`);
  log.push(`data ${await d.open(1)}`);
  log.push(`more ${await c.say(1, '226 done\r\n')} ${await c.say(0, 'QUIT\r\n')}`);
  return log;
}

const CASES: readonly (readonly [name: string, nat: string, run: Step])[] = [
  ['ftp PORT', '', (t) => ftpActive(t, '10.0.0.2', '10.0.1.2', 'PORT 10,0,0,2,200,10\r\n', '10.0.0.2 51210')],
  ['ftp PORT snat', SNAT, (t) => ftpActive(t, '10.0.0.2', '10.0.1.2', 'PORT 10,0,0,2,200,10\r\n', '10.0.1.200 51210')],
  [
    'ftp EPRT snat',
    SNAT,
    (t) => ftpActive(t, '10.0.0.2', '10.0.1.2', 'EPRT |1|10.0.0.2|51211|\r\n', '10.0.1.200 51211'),
  ],
  ['ftp EPRT v6', '', (t) => ftpActive(t, 'fd00::2', 'fd01::2', 'EPRT |2|fd00::2|51212|\r\n', 'fd00::2 51212')],
  ['ftp EPRT v6 snat', SNAT, (t) => ftpActive(t, 'fd00::2', 'fd01::2', 'EPRT |2|fd00::2|51212|\r\n', 'fd01::77 51212')],
  ['ftp bounce', '', (t) => ftpActive(t, '10.0.0.2', '10.0.1.2', 'PORT 10,0,0,77,200,10\r\n', '10.0.0.77 51210')],
  ['ftp half a command', '', (t) => ftpActive(t, '10.0.0.2', '10.0.1.2', 'PORT 10,0,0,2,200', '10.0.0.2 51210')],
  ['ftp nonsense', SNAT, (t) => ftpActive(t, '10.0.0.2', '10.0.1.2', 'PORT 1,2,3,x\r\n', '10.0.0.2 51210')],
  ...(['227 Entering (10,0,0,2,200,20).\r\n', '229 Extended (|||51220|)\r\n', '227 =10,0,0,2,200,20\r\n'] as const).map(
    (answer): [string, string, Step] => [
      `ftp passive behind dnat ${answer.slice(0, 8)}`,
      DNAT,
      async (t) => {
        const c = t.open(6, 1, '10.0.1.2 4000', '10.0.1.1 21');
        const log = [`open ${await c.open(1)}`];
        await c.say(0, '220 hello\r\n');
        await c.say(1, 'PASV\r\n');
        log.push(`answer ${await c.say(0, answer)}`, `ack ${await c.say(1, '')}`);
        const d = t.open(6, 1, '10.0.1.2 4001', '10.0.1.1 51220');
        log.push(`data ${await d.open(1)}`, `again ${await c.say(1, 'NOOP\r\n')} ${await c.say(0, '200 ok\r\n')}`);
        return log;
      },
    ],
  ),
  ...(['', SNAT] as const).map((nat): [string, string, Step] => [
    `tftp ${nat === '' ? '' : 'snat'}`,
    nat,
    async (t) => {
      const c = t.open(17, 0, '10.0.0.2 4000', '10.0.1.2 69');
      const log = [`ask ${await c.say(0, '\0\x01file\0octet\0')}`];
      const d = t.open(17, 1, '10.0.1.2 3333', nat === '' ? '10.0.0.2 4000' : '10.0.1.200 4000');
      log.push(`data ${await d.say(1, '\0\x03\0\x01abc')}`, `ack ${await d.say(0, '\0\x04\0\x01')}`);
      return log;
    },
  ]),
  ...(['', SNAT] as const).map((nat): [string, string, Step] => [
    `irc ${nat === '' ? '' : 'snat'}`,
    nat,
    async (t) => {
      const c = t.open(6, 0, '10.0.0.2 4000', '10.0.1.2 6667');
      const log = [`open ${await c.open(0)}`];
      await c.say(1, ':server hello\r\n');
      log.push(`offer ${await c.say(0, 'PRIVMSG you :\x01DCC SEND file 167772162 5555 1000\x01\r\n')}`);
      const d = t.open(6, 1, '10.0.1.2 3333', nat === '' ? '10.0.0.2 5555' : '10.0.1.200 5555');
      log.push(`data ${await d.open(1)}`, `more ${await c.say(1, 'x\r\n')} ${await c.say(0, 'y\r\n')}`);
      return log;
    },
  ]),
  [
    'sane',
    '',
    async (t) => {
      const c = t.open(6, 0, '10.0.0.2 4000', '10.0.1.2 6566');
      const log = [`open ${await c.open(0)}`];
      log.push(`ask ${await c.say(0, Uint8Array.of(0, 0, 0, 7, 0, 0, 0, 1))}`);
      log.push(`answer ${await c.say(1, Uint8Array.of(0, 0, 0, 0, 0, 0, 0x20, 0x21, 0, 0))}`);
      const d = t.open(6, 0, '10.0.0.2 4001', '10.0.1.2 8225');
      log.push(`data ${await d.open(0)}`);
      return log;
    },
  ],
  ...(['', SNAT] as const).map((nat): [string, string, Step] => [
    `amanda ${nat === '' ? '' : 'snat'}`,
    nat,
    async (t) => {
      const c = t.open(17, 0, '10.0.0.2 4000', '10.0.1.2 10080');
      const log = [`ask ${await c.say(0, 'Amanda 2.4 REQ HANDLE 1 SEQ 2\nSERVICE sendbackup\n')}`];
      const answer = 'Amanda 2.4 REP HANDLE 1 SEQ 2\nCONNECT DATA 1001 MESG 1002 INDEX 1003\nOPTIONS ;\n';
      log.push(`answer ${await c.say(1, answer)}`);
      for (const port of [1001, 1002, 1003, 1004])
        log.push(`${port} ${await t.open(6, 0, `10.0.0.2 ${port + 1000}`, `10.0.1.2 ${port}`).open(0)}`);
      return log;
    },
  ]),
  ...(['', SNAT] as const).map((nat): [string, string, Step] => [
    `pptp ${nat === '' ? '' : 'snat'}`,
    nat,
    async (t) => {
      const c = t.open(6, 0, '10.0.0.2 4000', '10.0.1.2 1723');
      const log = [`open ${await c.open(0)}`];
      log.push(`start ${await c.say(0, pptp(1, 144, []))}`, `reply ${await c.say(1, pptp(2, 144, [[2, 1]]))}`);
      log.push(
        `call ${await c.say(
          0,
          pptp(7, 156, [
            [0, 0x12],
            [1, 0x34],
          ]),
        )}`,
      );
      // The server answers the id that it saw.
      const [hi, lo] = nat === '' ? [0x12, 0x34] : [4000 >> 8, 4000 & 255];
      log.push(
        `connect ${await c.say(
          1,
          pptp(8, 20, [
            [0, 0x56],
            [1, 0x78],
            [2, hi],
            [3, lo],
            [4, 1],
          ]),
        )}`,
      );
      log.push(`out ${await t.gre(0, '10.0.0.2', '10.0.1.2', 0x5678)}`);
      const [outside, id] = nat === '' ? ['10.0.0.2', 0x1234] : ['10.0.1.200', 4000];
      log.push(
        `in ${await t.gre(1, '10.0.1.2', outside, id)}`,
        `out ${await t.gre(0, '10.0.0.2', '10.0.1.2', 0x5678)}`,
      );
      log.push(`stranger ${await t.gre(1, '10.0.1.2', outside, 77)}`);
      return log;
    },
  ]),
  [
    'sip call',
    '',
    async (t) => {
      const c = t.open(17, 0, '10.0.0.2 5060', '10.0.1.2 5060');
      const log = [`invite ${await c.say(0, sip('INVITE sip:b@10.0.1.2 SIP/2.0', 'INVITE', sdp('10.0.0.2', 4000)))}`];
      log.push(`trying ${await c.say(1, sip('SIP/2.0 100 Trying', 'INVITE', ''))}`);
      log.push(`ok ${await c.say(1, sip('SIP/2.0 200 OK', 'INVITE', sdp('10.0.1.2', 6000)))}`);
      log.push(`ack ${await c.say(0, sip('ACK sip:b@10.0.1.2 SIP/2.0', 'ACK', ''))}`);
      log.push(`rtp ${await t.open(17, 1, '10.0.1.2 6000', '10.0.0.2 4000').say(1, 'voice')}`);
      log.push(`rtcp ${await t.open(17, 0, '10.0.0.2 4001', '10.0.1.2 6001').say(0, 'report')}`);
      log.push(`stranger ${await t.open(17, 1, '10.0.1.2 6000', '10.0.0.2 4444').say(1, 'voice')}`);
      return log;
    },
  ],
  [
    'sip call that is refused',
    '',
    async (t) => {
      const c = t.open(17, 0, '10.0.0.2 5060', '10.0.1.2 5060');
      const log = [`invite ${await c.say(0, sip('INVITE sip:b@10.0.1.2 SIP/2.0', 'INVITE', sdp('10.0.0.2', 4000)))}`];
      log.push(`no ${await c.say(1, sip('SIP/2.0 486 Busy Here', 'INVITE', ''))}`);
      log.push(`rtp ${await t.open(17, 1, '10.0.1.2 6000', '10.0.0.2 4000').say(1, 'voice')}`);
      log.push(`broken ${await c.say(0, 'INVITE sip:b@10.0.1.2 SIP/2.0\r\n\r\n')}`);
      log.push(`low ${await c.say(0, sip('INVITE sip:b@10.0.1.2 SIP/2.0', 'INVITE', sdp('10.0.0.2', 99)))}`);
      log.push(`third ${await c.say(0, sip('INVITE sip:b@10.0.1.2 SIP/2.0', 'INVITE', sdp('10.0.0.9', 4000)))}`);
      return log;
    },
  ],
  [
    'sip register',
    '',
    async (t) => {
      const c = t.open(17, 0, '10.0.0.2 5060', '10.0.1.2 5060');
      const to = 'Contact: <sip:a@10.0.0.2:5070>;expires=120\r\n';
      const log = [`register ${await c.say(0, sip('REGISTER sip:10.0.1.2 SIP/2.0', 'REGISTER', '', to))}`];
      log.push(`early ${await t.open(17, 1, '10.0.1.2 5060', '10.0.0.2 5070').say(1, 'call')}`);
      log.push(`ok ${await c.say(1, sip('SIP/2.0 200 OK', 'REGISTER', '', to))}`);
      log.push(`call ${await t.open(17, 1, '10.0.1.2 5061', '10.0.0.2 5070').say(1, 'call')}`);
      return log;
    },
  ],
  ...(['', SNAT] as const).map((nat): [string, string, Step] => [
    `ftp listed ${nat === '' ? '' : 'snat'}`,
    nat,
    async (t) => {
      const c = t.open(6, 0, '10.0.0.2 4000', '10.0.1.2 21');
      const log = [`open ${await c.open(0)}`];
      await c.say(0, 'USER x\r\n');
      log.push(`command ${await c.say(0, 'PORT 10,0,0,2,200,10\r\n')}`);
      return log;
    },
  ]),
];

function sdp(address: string, port: number): string {
  return `v=0\r\no=x 1 1 IN IP4 ${address}\r\ns=-\r\nc=IN IP4 ${address}\r\nt=0 0\r\nm=audio ${port} RTP/AVP 0\r\n`;
}

function sip(first: string, method: string, body: string, more = ''): string {
  const head = `Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK1\r\nFrom: <sip:a@10.0.0.2>;tag=1\r\nTo: <sip:b@10.0.1.2>\r\n`;
  const kind = body === '' ? '' : 'Content-Type: application/sdp\r\n';
  return `${first}\r\n${head}Call-ID: 1@x\r\nCSeq: 7 ${method}\r\n${more}${kind}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** A PPTP control message: type, length of its body, and the bytes of it that are not zero. */
function pptp(type: number, size: number, bytes: readonly (readonly [number, number])[]): Uint8Array {
  const out = new Uint8Array(12 + size);
  out.set([out.length >> 8, out.length & 255, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, type]);
  for (const [at, value] of bytes) out[12 + at] = value;
  return out;
}

const reason = whyNoKernel();
if (reason !== undefined) console.log(`helpers against the kernel: ${reason}`);

test.skipIf(reason !== undefined).each(CASES)('%s', { timeout: 60_000 }, async (_name, nat, run) => {
  const kernel = new KernelPeer();
  try {
    const netloom = new NetloomPeer(loadNft);
    const seen: string[][] = [];
    for (const peer of [kernel, netloom]) {
      expect(await peer.load(rules(nat))).toBeUndefined();
      const out: string[] = [];
      const send: Send = async (frames) => {
        const [outcome] = await peer.send(frames);
        out.push(`${frames[0][1]} -> ${outcome[0].join(' ')} | ${outcome[1].join(' ')}`);
        return outcome;
      };
      const open = (protocol: 6 | 17, side: Side, from: string, to: string): Conversation =>
        new Conversation(send, protocol, side, ...ends(from), ...ends(to));
      const gre = async (side: Side, src: string, dst: string, id: number): Promise<boolean> => {
        const l4 = Uint8Array.of(0x30, 0x81, 0x88, 0x0b, 0, 4, id >> 8, id & 255, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4);
        const [a, b] = [src, dst].map((text) => Uint8Array.from(text.split('.').map(Number)));
        const out = await send([[side, frame(side, a, b, 47, l4)]]);
        return out[1 - side].length > 0;
      };
      const log = await run({ open, gre });
      const table =
        peer === kernel
          ? await kernel.expectations()
          : conntrack(['-L', 'expect'], { netlink: netloom.io.netlink }).stdout;
      // The kernel lists expectations in the order of its hash, which is seeded.
      const expected = table.split('\n').map((line) => line.replace(/^\d+ /, 'T '));
      seen.push([...log, ...out, ...expected.sort()]);
    }
    expect(seen[1]).toEqual(seen[0]);
  } finally {
    kernel.close();
  }
});
