import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Hooks } from '../../../core/hook.ts';
import { World } from '../../../core/world.ts';
import * as ipv4 from '../../../wire/ipv4.ts';
import { NF_ACCEPT, NFPROTO_INET, NFPROTO_IPV4 } from '../../../wire/uapi/netfilter.ts';
import { Nat } from '../../nat/nat.ts';
import { MANIP_SRC, newRange, setSingleAddress } from '../../nat/range.ts';
import { Conntrack } from '../conntrack.ts';
import { helperFor, helperState } from './registry.ts';

const CLIENT = 0x0a000002;
const SERVER = 0x0a000102;
const OUTSIDE = 0x0a0001c8;

/** A router with one connection of a helper; packets are put through both ends of conntrack. */
class Box {
  readonly world: World = new World({ slots: 16, largeSlots: 1 });
  readonly hooks: Hooks = new Hooks(this.world);
  readonly table: Conntrack = new Conntrack(this.world, this.hooks);
  readonly seq: [number, number] = [1000, 5000];
  readonly #protocol: number;

  constructor(name: string, protocol: number, translated: boolean) {
    this.#protocol = protocol;
    const nat = new Nat(this.table, this.hooks, {
      masqueradeAddress: () => undefined,
      deviceAddress: () => undefined,
      reroute: () => true,
    });
    this.table.get(NFPROTO_INET);
    this.table.setSysctl('nf_conntrack_checksum', '0');
    this.table.onNew.push((ct) => {
      if (ct.words[ct.at(0)] !== CLIENT || ct.helper !== undefined) return;
      ct.helper = helperState(name, protocol);
      if (!translated) return;
      const range = newRange();
      setSingleAddress(range, Uint32Array.of(OUTSIDE, 0, 0, 0), 0);
      nat.setup(ct, range, MANIP_SRC);
    });
    this.outside = translated ? OUTSIDE : CLIENT;
    if (protocol === 17) return;
    this.say(0, new Uint8Array(), 2);
    this.say(1, new Uint8Array(), 18);
    this.say(0, new Uint8Array(), 16);
  }

  readonly outside: number;

  /** Sends a payload; what a rule in between saw, or 'dropped', and what left. */
  say(side: 0 | 1, payload: Uint8Array, flags = 16): { verdict: number; state: number; out: string } {
    const tcp = this.#protocol === 6;
    const header = tcp ? 20 : 8;
    const bytes = new Uint8Array(20 + header + payload.length);
    const dv = new DataView(bytes.buffer);
    const [src, dst] = side === 0 ? [CLIENT, SERVER] : [SERVER, this.outside];
    ipv4.init(dv, 0, src, dst, this.#protocol, bytes.length, 64);
    dv.setUint32(20, side === 0 ? (4000 << 16) | 21 : (21 << 16) | 4000);
    if (tcp) {
      dv.setUint32(24, this.seq[side]);
      dv.setUint32(28, this.seq[1 - side]);
      bytes[32] = 0x50;
      bytes[33] = flags;
      dv.setUint16(34, 60000);
      this.seq[side] += payload.length + (flags & 2 ? 1 : 0);
    } else dv.setUint16(24, 8 + payload.length);
    bytes.set(payload, 20 + header);
    const { slab } = this.world;
    const p = slab.from(bytes);
    slab.setNetwork(p, slab.head(p));
    let verdict = this.hooks.run(NFPROTO_IPV4, 0, p, 1, 0);
    const state = verdict === NF_ACCEPT ? this.table.stateBit(p) : 0;
    if (verdict === NF_ACCEPT) verdict = this.hooks.run(NFPROTO_IPV4, 4, p, 0, 2);
    if (verdict !== NF_ACCEPT) return { verdict, state, out: '' };
    const out = String.fromCharCode(...slab.bytes(p).subarray(20 + header));
    slab.free(p);
    return { verdict, state, out };
  }
}

const text = (s: string): Uint8Array => Uint8Array.from(s, (c) => c.charCodeAt(0));

test('an FTP client’s port is expected, for one connection, and gone with its master', () => {
  const box = new Box('ftp', 6, false);
  box.say(0, text('USER x\r\n'));
  box.say(0, text('PORT 10,0,0,2,200,10\r\n'));
  const [e] = box.table.expectations.all();
  expect(e.tuple[9] & 0xffff).toBe(51210);
  expect(e.tuple[0]).toBe(SERVER);
  box.table.flush();
  expect(box.table.expectations.count).toBe(0);
});

test('an expectation that nobody fulfils is gone after its time', () => {
  const box = new Box('tftp', 17, false);
  box.say(0, text('\0\x01f\0octet\0'));
  expect(box.table.expectations.count).toBe(1);
  box.table.forEach((ct) => {
    box.table.setTimeout(ct, 10_000);
  });
  box.world.runFor(301e9);
  expect(box.table.expectations.count).toBe(0);
});

test('a second offer of the same class takes the first one’s place', () => {
  const box = new Box('ftp', 6, false);
  box.say(0, text('USER x\r\n'));
  box.say(0, text('PORT 10,0,0,2,200,10\r\n'));
  box.say(0, text('PORT 10,0,0,2,200,11\r\n'));
  expect(box.table.expectations.all().map((e) => e.tuple[9] & 0xffff)).toEqual([51211]);
});

test('behind NAT the offer names the outside address, and later segments are moved', () => {
  const box = new Box('ftp', 6, true);
  box.say(0, text('USER x\r\n'));
  expect(box.say(0, text('PORT 10,0,0,2,200,10\r\n')).out).toBe('PORT 10,0,1,200,200,10\r\n');
  let corrected: unknown;
  box.table.forEach((ct) => {
    corrected = ct.extras?.seqadj?.[0];
  });
  expect(corrected).toMatchObject({ offsetBefore: 0, offsetAfter: 2 });
});

const ALL: readonly (readonly [string, number])[] = (
  ['ftp', 'irc', 'sane', 'pptp', 'sip', 'tftp', 'amanda', 'snmp', 'netbios-ns'] as const
).flatMap((name) =>
  [6, 17].filter((protocol) => helperFor(name, protocol) !== undefined).map((protocol) => [name, protocol] as const),
);

test.each(ALL)('no payload makes %s over %i throw, with and without NAT', (name, protocol) => {
  const words = fc.constantFrom(
    'PORT ',
    'EPRT ',
    '227 ',
    '229 (',
    '|||',
    '|1|10.0.0.2|',
    '10,0,0,2,',
    'PRIVMSG x :\x01DCC SEND f ',
    '167772162 ',
    'INVITE sip:a@10.0.0.2 SIP/2.0\r\n',
    'SIP/2.0 200 OK\r\n',
    'Via: SIP/2.0/UDP 10.0.0.2:5060\r\n',
    'Contact: <sip:',
    'CSeq: 1 INVITE\r\n',
    'Content-Length: ',
    'c=IN IP4 10.0.0.2\r\n',
    'm=audio 4000 RTP/AVP 0\r\n',
    'CONNECT DATA ',
    'MESG ',
    '\r\n',
    '\n',
    '65536',
    '0',
    '99999999999',
    '\0\x01',
    '\0\x9c\0\x01\x1a\x2b\x3c\x4d',
    '\0\x07\0\0',
    '\xff',
  );
  for (const translated of [false, true]) {
    const box = new Box(name, protocol, translated);
    fc.assert(
      fc.property(fc.array(words, { maxLength: 12 }), fc.constantFrom<0 | 1>(0, 1), (parts, side) => {
        const { verdict } = box.say(side, text(parts.join('')));
        expect([0, 1]).toContain(verdict);
      }),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom<0 | 1>(0, 1), (bytes, side) => {
        expect([0, 1]).toContain(box.say(side, bytes).verdict);
      }),
      { numRuns: 200 },
    );
  }
});
