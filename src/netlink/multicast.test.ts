import { expect, test } from 'vitest';
import type { Message } from '../wire/netlink/message.ts';
import { MulticastGroups } from './multicast.ts';

const message = (type: number): Message => ({ type, flags: 0, seq: 0, port: 0, payload: new Uint8Array(0) });

test('a listener hears the groups that it joined until it leaves', () => {
  const groups = new MulticastGroups();
  const heard: string[] = [];
  const leave = groups.join([1, 3], (m, group) => heard.push(`${group}:${m.type}`));
  for (const group of [1, 2, 3]) groups.publish(group, () => message(group * 10));
  leave();
  groups.publish(1, () => message(10));
  expect(heard).toEqual(['1:10', '3:30']);
});

test('a notification that nobody hears is not made, and one that many hear is made once', () => {
  const groups = new MulticastGroups();
  let made = 0;
  const make = (): Message => {
    made++;
    return message(1);
  };
  groups.publish(1, make);
  expect(made).toBe(0);
  groups.join([1], () => {});
  groups.join([1], () => {});
  groups.publish(1, make);
  expect(made).toBe(1);
});

test('a source of events runs while one of its groups is heard', () => {
  const groups = new MulticastGroups();
  const log: string[] = [];
  groups.whenHeard([1, 2], () => {
    log.push('start');
    return () => log.push('stop');
  });
  const first = groups.join([1], () => {});
  const second = groups.join([2], () => {});
  first();
  expect(log).toEqual(['start']);
  second();
  expect(log).toEqual(['start', 'stop']);
});
