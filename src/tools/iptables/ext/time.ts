/** Match `time`: dates, hours, days. */
import { time as codec, type Time } from '../../../wire/xt/time.ts';
import { problem } from '../errors.ts';
import { bang, type Extension } from '../extension.ts';
import { number } from '../values.ts';

const LOCAL_TZ = 1;
const CONTIGUOUS = 2;
const ALL_MONTHDAYS = 0xfffffffe;
const ALL_WEEKDAYS = 0xfe;
const LAST_SECOND = 86399;
const DATE_MAX = 0x7fffffff;
const DAYS: readonly string[] = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];

function daytime(text: string): number {
  const m = /^(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?$/.exec(text);
  const [h, min, s] = m === null ? [24, 0, 0] : [Number(m[1]), Number(m[2]), Number(m[3] ?? 0)];
  if (h > 23 || min > 59 || s > 59)
    throw problem(`invalid time "${text}" specified, should be hh:mm[:ss] format and within the boundaries`);
  return h * 3600 + min * 60 + s;
}

function date(text: string): number {
  const m = /^(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:T(\d{1,2})(?::(\d{1,2})(?::(\d{1,2}))?)?)?)?)?$/.exec(text);
  const stamp =
    m === null
      ? Number.NaN
      : Date.UTC(
          Number(m[1]),
          Number(m[2] ?? 1) - 1,
          Number(m[3] ?? 1),
          Number(m[4] ?? 0),
          Number(m[5] ?? 0),
          Number(m[6] ?? 0),
        ) / 1000;
  if (Number.isNaN(stamp) || stamp < 0)
    throw problem(`Invalid date "${text}" specified. Should be YYYY[-MM[-DD[Thh[:mm[:ss]]]]]`);
  return Math.min(stamp, 0xffffffff);
}

const two = (value: number): string => `${value}`.padStart(2, '0');
const timeText = (s: number): string => `${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
const dateText = (stamp: number): string => new Date(stamp * 1000).toISOString().slice(0, 19);
const dayList = (mask: number): string =>
  Array.from({ length: 31 }, (_, i) => i + 1)
    .filter((day) => mask & (1 << day))
    .join(',');
const weekList = (mask: number): string => DAYS.filter((_, i) => mask & (1 << (i + 1))).join(',');

function parseDays(text: string, one: (word: string) => number | undefined): number {
  let mask = 0;
  for (const word of text.split(',')) {
    const day = one(word);
    if (day === undefined) throw problem(`"${word}" is not a valid day`);
    mask |= 1 << day;
  }
  return mask >>> 0;
}

export const time: Extension<Time> = {
  kind: 'match',
  name: 'time',
  revision: 0,
  codec,
  init(s) {
    s.daytimeStop = LAST_SECOND;
    s.dateStop = DATE_MAX;
    s.monthdays = ALL_MONTHDAYS;
    s.weekdays = ALL_WEEKDAYS;
  },
  options: [
    {
      name: 'datestart',
      parse(s, value) {
        s.dateStart = date(value);
      },
    },
    {
      name: 'datestop',
      parse(s, value) {
        s.dateStop = date(value);
      },
    },
    {
      name: 'timestart',
      parse(s, value) {
        s.daytimeStart = daytime(value);
      },
    },
    {
      name: 'timestop',
      parse(s, value) {
        s.daytimeStop = daytime(value);
      },
    },
    {
      name: 'weekdays',
      invert: true,
      parse(s, value, invert) {
        const mask = parseDays(value, (word) => {
          const index = DAYS.findIndex(
            (name) => word.length >= 2 && name.toLowerCase().startsWith(word.toLowerCase().slice(0, 3)),
          );
          return index >= 0 ? index + 1 : number(word, 7, 1);
        });
        s.weekdays = invert ? s.weekdays & ~mask : mask;
      },
    },
    {
      name: 'monthdays',
      invert: true,
      parse(s, value, invert) {
        const mask = parseDays(value, (word) => number(word, 31, 1));
        s.monthdays = (invert ? s.monthdays & ~mask : mask) >>> 0;
      },
    },
    {
      name: 'localtz',
      arg: 'none',
      excl: ['utc'],
      parse(s, _value, _invert, ctx) {
        ctx.warn(
          'WARNING: --localtz is being replaced by --kerneltz, since "local" is ambiguous. Note the kernel timezone has caveats - see manpage for details.',
        );
        s.flags |= LOCAL_TZ;
      },
    },
    { name: 'utc', arg: 'none', parse: () => {} },
    {
      name: 'kerneltz',
      arg: 'none',
      excl: ['utc'],
      parse(s) {
        s.flags |= LOCAL_TZ;
      },
    },
    {
      name: 'contiguous',
      arg: 'none',
      parse(s) {
        s.flags |= CONTIGUOUS;
      },
    },
  ],
  save(s) {
    let out = '';
    if (s.daytimeStart !== 0 || s.daytimeStop !== LAST_SECOND)
      out += ` --timestart ${timeText(s.daytimeStart)} --timestop ${timeText(s.daytimeStop)}`;
    if (s.monthdays !== ALL_MONTHDAYS) out += ` --monthdays ${dayList(s.monthdays)}`;
    if (s.weekdays !== ALL_WEEKDAYS) out += ` --weekdays ${weekList(s.weekdays)}`;
    if (s.dateStart !== 0) out += ` --datestart ${dateText(s.dateStart)}`;
    if (s.dateStop !== 0xffffffff) out += ` --datestop ${dateText(s.dateStop)}`;
    if (s.flags & LOCAL_TZ) out += ' --kerneltz';
    if (s.flags & CONTIGUOUS) out += ' --contiguous';
    return out;
  },
  print(s) {
    let out = ' TIME';
    if (s.daytimeStart !== 0 || s.daytimeStop !== LAST_SECOND)
      out += ` from ${timeText(s.daytimeStart)} to ${timeText(s.daytimeStop)}`;
    if (s.weekdays !== ALL_WEEKDAYS) out += ` on ${weekList(s.weekdays)}`;
    if (s.monthdays !== ALL_MONTHDAYS) out += ` on ${dayList(s.monthdays)}`;
    if (s.dateStart !== 0) out += ` starting from ${dateText(s.dateStart).replace('T', ' ')}`;
    if (s.dateStop !== DATE_MAX) out += ` until date ${dateText(s.dateStop).replace('T', ' ')}`;
    if (!(s.flags & LOCAL_TZ)) out += ' UTC';
    return s.flags & CONTIGUOUS ? `${out} contiguous` : out + bang(false);
  },
};
