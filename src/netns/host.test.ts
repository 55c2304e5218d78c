import { expect, test } from 'vitest';
import { World } from '../core/world.ts';
import { Host } from './host.ts';

test('a host begins with lo and nothing else', () => {
  const world = new World({ slots: 64 });
  const host = new Host(world, 'a');
  expect([...host.devices].map((d) => d.name)).toEqual(['lo']);
  expect(world.slab.used).toBe(0);
});
