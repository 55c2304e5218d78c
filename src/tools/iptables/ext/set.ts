/** Match `set` and target `SET`: ipset sets, known to the kernel by their index. */
import * as I from '../../../wire/xt/set.ts';
import { problem } from '../errors.ts';
import { bang, type Context, type Extension, type Option } from '../extension.ts';
import type { SetNames } from '../set-names.ts';
import { U32_MAX, uint, uint64 } from '../values.ts';

/** Names beside the indices, for printing. */
type Named = { names?: Readonly<Record<string, string>> };
type Match = I.SetMatch & Named;
type Target = I.SetTarget & Named;

const DIMENSIONS_MAX = 6;

/** Reads "NAME src,dst" into a set reference; answers the name. */
function reference(info: I.SetInfo, name: string, ctx: Context): string {
  const directions = ctx.next();
  if (directions === undefined) throw problem(`--${ctx.opt} requires two args.`);
  if (name.length > 31) throw problem(`setname \`${name}' too long, max 31 characters.`);
  const index = ctx.sets.index(name);
  if (index === undefined) throw problem(`Set ${name} doesn't exist.\n`);
  info.index = index;
  const words = directions.split(',');
  if (words.length > DIMENSIONS_MAX) throw problem(`Can't be more src/dst options than ${DIMENSIONS_MAX}.`);
  words.forEach((word, i) => {
    if (word === 'src') info.flags |= 1 << (i + 1);
    else if (word !== 'dst') throw problem("You must spefify (the comma separated list of) 'src' or 'dst'.");
  });
  info.dim = words.length;
  return name;
}

function directions(info: I.SetInfo): string {
  return Array.from({ length: info.dim }, (_, i) => (info.flags & (1 << (i + 1)) ? 'src' : 'dst')).join(',');
}

const OPERATORS: readonly (readonly [string, number])[] = [
  ['eq', I.IPSET_COUNTER_EQ],
  ['lt', I.IPSET_COUNTER_LT],
  ['gt', I.IPSET_COUNTER_GT],
];

function counterOption(what: 'packets' | 'bytes', word: string, op: number): Option<Match> {
  return {
    name: `${what}-${word}`,
    invert: op === I.IPSET_COUNTER_EQ,
    parse(s, value, invert, ctx) {
      if (s[what].op !== I.IPSET_COUNTER_NONE) throw problem(`only one of the --${what}-[eq|lt|gt] is allowed`);
      s[what] = { value: uint64(ctx, value), op: invert ? I.IPSET_COUNTER_NE : op };
    },
  };
}

function counterText(what: 'packets' | 'bytes', c: I.CounterMatch, dash: string): string {
  if (c.op === I.IPSET_COUNTER_NONE) return '';
  if (c.op === I.IPSET_COUNTER_NE) return ` ! ${dash}${what}-eq ${c.value}`;
  return ` ${dash}${what}-${OPERATORS.find(([, op]) => op === c.op)?.[0]} ${c.value}`;
}

function matchText(s: Match, dash: string): string {
  let out = `${bang(s.set.flags & I.IPSET_INV_MATCH)} ${dash}match-set ${s.names?.set ?? s.set.index} ${directions(s.set)}`;
  if (s.flags & I.IPSET_FLAG_RETURN_NOMATCH) out += ` ${dash}return-nomatch`;
  if (s.flags & I.IPSET_FLAG_SKIP_COUNTER_UPDATE) out += ` ! ${dash}update-counters`;
  if (s.flags & I.IPSET_FLAG_SKIP_SUBCOUNTER_UPDATE) out += ` ! ${dash}update-subcounters`;
  return out + counterText('packets', s.packets, dash) + counterText('bytes', s.bytes, dash);
}

const flagOption = (name: string, bit: number): Option<Match> => ({
  name,
  arg: 'none',
  invert: bit !== I.IPSET_FLAG_RETURN_NOMATCH,
  parse(s, _value, invert) {
    if (invert || bit === I.IPSET_FLAG_RETURN_NOMATCH) s.flags |= bit;
  },
});

function matchSet(name: string): Option<Match> {
  return {
    name,
    invert: true,
    parse(s, value, invert, ctx) {
      if (name === 'set') ctx.warn('--set option deprecated, please use --match-set');
      s.names = { set: reference(s.set, value, ctx) };
      if (invert) s.set.flags |= I.IPSET_INV_MATCH;
    },
  };
}

export const set: Extension<Match> = {
  kind: 'match',
  name: 'set',
  revision: 4,
  codec: I.setMatch,
  options: [
    matchSet('match-set'),
    matchSet('set'),
    flagOption('return-nomatch', I.IPSET_FLAG_RETURN_NOMATCH),
    flagOption('update-counters', I.IPSET_FLAG_SKIP_COUNTER_UPDATE),
    flagOption('update-subcounters', I.IPSET_FLAG_SKIP_SUBCOUNTER_UPDATE),
    ...OPERATORS.map(([word, op]) => counterOption('packets', word, op)),
    ...OPERATORS.map(([word, op]) => counterOption('bytes', word, op)),
  ],
  check(s) {
    if (s.names?.set === undefined) throw problem("You must specify `--match-set' with proper arguments");
  },
  resolve(s, sets: SetNames) {
    s.names = { set: sets.name(s.set.index) ?? '' };
  },
  save: (s) => matchText(s, '--'),
  print: (s) => matchText(s, ''),
};

type Side = 'add' | 'del' | 'map';

function sideOption(side: Side): Option<Target> {
  return {
    name: `${side}-set`,
    parse(s, value, _invert, ctx) {
      s[side].flags = 0;
      s.names = { ...s.names, [side]: reference(s[side], value, ctx) };
    },
  };
}

const SIDES: readonly Side[] = ['add', 'del', 'map'];
const MAPS: readonly (readonly [string, number])[] = [
  ['map-mark', I.IPSET_FLAG_MAP_SKBMARK],
  ['map-prio', I.IPSET_FLAG_MAP_SKBPRIO],
  ['map-queue', I.IPSET_FLAG_MAP_SKBQUEUE],
];

function targetText(s: Target, dash: string): string {
  const one = (side: Side): string =>
    s[side].index === I.IPSET_INVALID_ID
      ? ''
      : ` ${dash}${side}-set ${s.names?.[side] ?? s[side].index} ${directions(s[side])}`;
  let out = one('add');
  if (s.flags & I.IPSET_FLAG_EXIST) out += ` ${dash}exist`;
  if (s.timeout !== U32_MAX) out += ` ${dash}timeout ${s.timeout}`;
  out += one('del') + one('map');
  for (const [name, bit] of MAPS) if (s.flags & bit) out += ` ${dash}${name}`;
  return out;
}

export const SET: Extension<Target> = {
  kind: 'target',
  name: 'SET',
  revision: 3,
  codec: I.setTarget,
  init(s) {
    for (const side of SIDES) s[side].index = I.IPSET_INVALID_ID;
    s.timeout = U32_MAX;
  },
  options: [
    ...SIDES.map(sideOption),
    {
      name: 'exist',
      arg: 'none',
      parse(s) {
        s.flags |= I.IPSET_FLAG_EXIST;
      },
    },
    {
      name: 'timeout',
      parse(s, value, _invert, ctx) {
        s.timeout = uint(ctx, value, U32_MAX - 1);
      },
    },
    ...MAPS.map(
      ([name, bit]): Option<Target> => ({
        name,
        arg: 'none',
        parse(s) {
          s.flags |= bit;
        },
      }),
    ),
  ],
  check(s) {
    if (SIDES.every((side) => s[side].index === I.IPSET_INVALID_ID))
      throw problem("You must specify either `--add-set' or `--del-set' or `--map-set'");
    if (s.map.index !== I.IPSET_INVALID_ID && !MAPS.some(([, bit]) => s.flags & bit))
      throw problem('--map-set needs at least one of --map-mark, --map-prio or --map-queue');
  },
  resolve(s, sets: SetNames) {
    const names: Record<string, string> = {};
    for (const side of SIDES) if (s[side].index !== I.IPSET_INVALID_ID) names[side] = sets.name(s[side].index) ?? '';
    s.names = names;
  },
  save: (s) => targetText(s, '--'),
  print: (s) => targetText(s, ''),
};
