import { expect, test } from 'vitest';
import * as b from '../../wire/uapi/bpf.ts';
import type { Btf } from '../btf/btf.ts';
import { BtfBuilder } from '../btf/build.ts';
import { mapCommand } from './command.ts';
import type { BpfMap } from './map.ts';
import { TestHost, u32s } from './test-host.ts';

function run(host: TestHost, line: string, options: { json?: boolean; pretty?: boolean; btf?: Btf } = {}) {
  const { btf } = options;
  return mapCommand(line.split(' '), { maps: host.maps, cpus: host.cpus, btf: () => btf }, options);
}

function hashWithTwo(): { host: TestHost; map: BpfMap } {
  const host = new TestHost();
  const map = host.make({ type: b.BPF_MAP_TYPE_HASH, name: 'm' });
  map.userUpdate(u32s(0x01010101), new Uint8Array(8).fill(5), 0);
  map.userUpdate(u32s(7), new Uint8Array(8).fill(6), 0);
  return { host, map };
}

test('map show, dump and lookup print what bpftool prints', () => {
  const { host } = hashWithTwo();
  expect(run(host, 'show id 0').stdout).toBe('0: hash  name m  flags 0x0\n\tkey 4B  value 8B  max_entries 4\n');
  expect(run(host, 'dump id 0').stdout).toBe(
    'key: 01 01 01 01  value: 05 05 05 05 05 05 05 05\nkey: 07 00 00 00  value: 06 06 06 06 06 06 06 06\nFound 2 elements\n',
  );
  expect(run(host, 'dump name m', { pretty: true }).stdout).toBe(`[{
        "key": ["0x01","0x01","0x01","0x01"
        ],
        "value": ["0x05","0x05","0x05","0x05","0x05","0x05","0x05","0x05"
        ]
    },{
        "key": ["0x07","0x00","0x00","0x00"
        ],
        "value": ["0x06","0x06","0x06","0x06","0x06","0x06","0x06","0x06"
        ]
    }
]
`);
  expect(run(host, 'lookup id 0 key hex 01 01 01 01').stdout).toBe(
    'key: 01 01 01 01  value: 05 05 05 05 05 05 05 05\n',
  );
  expect(run(host, 'lookup id 0 key 9 0 0 0')).toEqual({
    code: 254,
    stdout: 'key:\n09 00 00 00\n\nNot found\n',
    stderr: '',
  });
  expect(run(host, 'getnext id 0').stdout).toBe('key: None\nnext key:\n01 01 01 01\n');
  expect(run(host, 'getnext id 0', { json: true }).stdout).toBe(
    '{"key":null,"next_key":["0x01","0x01","0x01","0x01"]}\n',
  );
});

test('per-CPU values are shown one a CPU, and an update gives every CPU the same', () => {
  const host = new TestHost(2);
  host.make({ type: b.BPF_MAP_TYPE_PERCPU_HASH });
  expect(run(host, 'update id 0 key 1 1 1 1 value hex 05 05 05 05 05 05 05 05').code).toBe(0);
  expect(run(host, 'dump id 0').stdout).toBe(
    'key:\n01 01 01 01\nvalue (CPU 00): 05 05 05 05 05 05 05 05\nvalue (CPU 01): 05 05 05 05 05 05 05 05\nFound 1 element\n',
  );
  const value = '["0x05","0x05","0x05","0x05","0x05","0x05","0x05","0x05"]';
  expect(run(host, 'dump id 0', { json: true }).stdout).toBe(
    `[{"key":["0x01","0x01","0x01","0x01"],"values":[{"cpu":0,"value":${value}},{"cpu":1,"value":${value}}]}]\n`,
  );
});

test('what the kernel refuses, and what cannot be read, is an error with its text', () => {
  const { host } = hashWithTwo();
  expect(run(host, 'delete id 0 key 9 0 0 0')).toEqual({
    code: 254,
    stdout: '',
    stderr: 'Error: delete failed: No such file or directory\n',
  });
  expect(run(host, 'update id 0 key 7 0 0 0 value hex 00', { json: true }).stdout).toBe(
    '{"error":"value expected 8 bytes got 1"}\n',
  );
  expect(run(host, 'update id 0 key hex 09 00 00 zz value hex 00').stderr).toBe('Error: error parsing byte: zz\n');
  expect(run(host, 'dump id 3').stderr).toBe('Error: get map by id (3): No such file or directory\n');
  expect(run(host, 'update id 0 key 7 0 0 0 value 1 0 0 0 0 0 0 0 noexist').stderr).toBe(
    'Error: update failed: File exists\n',
  );
  expect(run(host, 'freeze id 0').code).toBe(0);
  expect(run(host, 'delete id 0 key 7 0 0 0').stderr).toBe('Error: delete failed: Operation not permitted\n');
});

test('queues are pushed, peeked and popped without a key', () => {
  const host = new TestHost();
  const map = host.make({ type: b.BPF_MAP_TYPE_QUEUE, keySize: 0 });
  expect(run(host, 'push id 0 value 5 0 0 0 0 0 0 0').code).toBe(0);
  expect(run(host, 'peek id 0').stdout).toBe('value: 05 00 00 00 00 00 00 00\n');
  expect(run(host, 'dequeue id 0').stdout).toBe('value: 05 00 00 00 00 00 00 00\n');
  expect(map.userLookup(new Uint8Array(), 0)).toBe(-2);
});

test('with BTF keys and values are shown, and taken, by their types', () => {
  const types = new BtfBuilder();
  const u32 = types.int('unsigned int', 4, 0);
  const char = types.int('char', 1, 1);
  const name = types.array(char, 8, u32);
  const color = types.enum('color', [
    { name: 'RED', value: 0 },
    { name: 'GREEN', value: 5 },
  ]);
  const value = types.struct('val', 24, [
    { name: 'a', type: u32, bitOffset: 0 },
    { name: 'low', type: u32, bitOffset: 32, bitfieldSize: 5 },
    { name: 'high', type: u32, bitOffset: 37, bitfieldSize: 11 },
    { name: 'name', type: name, bitOffset: 64 },
    { name: 'col', type: color, bitOffset: 128 },
    { name: 'pair', type: types.array(char, 2, u32), bitOffset: 160 },
  ]);
  const btf = types.build();
  const host = new TestHost();
  host.make({ type: b.BPF_MAP_TYPE_HASH, valueSize: 24, btfKeyType: u32, btfValueType: value });
  const json = '{"a":7,"low":8,"high":"0x48","name":"flow","col":"GREEN","pair":[1,-1]}';
  expect(run(host, `update id 0 key json 1 value json ${json}`, { btf })).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(run(host, 'dump id 0', { btf }).stdout).toBe(`[{
        "key": 1,
        "value": {
            "a": 7,
            "low": 0x8,
            "high": 0x48,
            "name": "flow",
            "col": "GREEN",
            "pair": [1,-1
            ]
        }
    }
]
`);
  expect(run(host, 'dump id 0', { btf, json: true }).stdout).toContain(
    '"formatted":{"key":1,"value":{"a":7,"low":"0x8","high":"0x48","name":"flow","col":"GREEN","pair":[1,-1]}}}]',
  );
  expect(run(host, 'update id 0 key json 1 value json {"a":4294967296}', { btf }).stderr).toBe(
    'Error: a: does not fit in 32 bits\n',
  );
  expect(run(host, 'update id 0 key json 1 value json {"b":1}', { btf }).stderr).toBe(
    "Error: value: there is no member 'b'\n",
  );
  expect(run(host, 'lookup id 0 key json 2', { btf, json: true }).stdout).toBe('null\n');
});
