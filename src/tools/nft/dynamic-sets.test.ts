import { expect, test } from 'vitest';
import { dynamicSets } from './dynamic-sets.ts';
import { parseScript } from './index.ts';

test('sets that rules add to are found in tables and in single rules', () => {
  const { commands } = parseScript(
    'table ip t { set a { type ipv4_addr; }\n chain c { add @a { ip saddr }\n } }\nadd rule ip t c update @b { ip daddr }\n',
  );
  expect([...dynamicSets(commands)]).toEqual(['ip t a', 'ip t b']);
});
