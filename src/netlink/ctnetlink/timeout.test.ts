import { expect, test } from 'vitest';
import { World } from '../../core/world.ts';
import { Host } from '../../netns/host.ts';
import { AttrWriter, attrMap, getBeU32 } from '../../wire/netlink/attr.ts';
import { emitMessages, type Message, readAck } from '../../wire/netlink/message.ts';
import { NETLINK_NETFILTER, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST } from '../../wire/uapi/netlink.ts';
import { hostNetlink } from '../host-netlink.ts';

test('a timeout policy is made once, read with its defaults filled in, and deleted', () => {
  const socket = hostNetlink(new Host(new World({ slots: 16, largeSlots: 1 }), 'gw')).open(NETLINK_NETFILTER);
  const ask = (
    command: number,
    flags: number,
    fill: (w: AttrWriter) => void,
  ): { errno: number; answers: Message[] } => {
    const w = new AttrWriter().raw(Uint8Array.of(2, 0, 0, 0));
    fill(w);
    const type = (8 << 8) | command;
    const all = socket.send(
      emitMessages([{ type, flags: NLM_F_REQUEST | NLM_F_ACK | flags, seq: 1, port: 0, payload: w.finish() }]),
    );
    return { errno: all.map(readAck).find((a) => a !== undefined)?.errno ?? 0, answers: all };
  };
  const policy = (w: AttrWriter): void => {
    w.string(1, 'short').beU16(2, 2).u8(3, 6);
    w.nest(4, (n) => n.beU32(3, 60));
  };
  expect(ask(0, NLM_F_CREATE | NLM_F_EXCL, policy).errno).toBe(0);
  expect(ask(0, NLM_F_CREATE | NLM_F_EXCL, policy).errno).toBe(17);
  const [answer] = ask(1, 0, (w) => w.string(1, 'short')).answers;
  const data = attrMap(attrMap(answer.payload, 4).get(4)!.payload);
  expect([1, 3].map((attr) => getBeU32(data.get(attr)!.payload))).toEqual([120, 60]);
  expect(ask(2, 0, (w) => w.string(1, 'short')).errno).toBe(0);
  expect(ask(2, 0, (w) => w.string(1, 'short')).errno).toBe(2);
});
