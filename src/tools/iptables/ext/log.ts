/** Target `LOG`: a line in the kernel log. */
import { logTarget as codec, type LogTarget } from '../../../wire/xt/log-target.ts';
import { problem } from '../errors.ts';
import { type Extension, type Option, quoted } from '../extension.ts';
import { logLevel, logLevelName } from '../names.ts';

const FLAGS: readonly (readonly [string, number])[] = [
  ['log-tcp-sequence', 1],
  ['log-tcp-options', 2],
  ['log-ip-options', 4],
  ['log-uid', 8],
  ['log-macdecode', 32],
];
const WARNING = 4;
/** Names that -L prints shorter than they are given. */
const SHORT: Readonly<Record<number, string>> = { 3: 'error', 4: 'warn' };

export const LOG: Extension<LogTarget> = {
  kind: 'target',
  name: 'LOG',
  revision: 0,
  codec,
  init(s) {
    s.level = WARNING;
  },
  options: [
    {
      name: 'log-level',
      parse(s, value) {
        const level = logLevel(value);
        if (level === undefined) throw problem(`log level "${value}" unknown`);
        s.level = level;
      },
    },
    {
      name: 'log-prefix',
      parse(s, value) {
        if (value.includes('\n')) throw problem('Newlines not allowed in --log-prefix');
        if (value.length > 29) throw problem('Maximum prefix length 29 for --log-prefix');
        s.prefix = value;
      },
    },
    ...FLAGS.map(
      ([name, bit]): Option<LogTarget> => ({
        name,
        arg: 'none',
        parse(s) {
          s.flags |= bit;
        },
      }),
    ),
  ],
  save(s) {
    let out = '';
    if (s.prefix !== '') out += ` --log-prefix ${quoted(s.prefix)}`;
    if (s.level !== WARNING) out += ` --log-level ${s.level}`;
    for (const [name, bit] of FLAGS) if (s.flags & bit) out += ` --${name}`;
    return out;
  },
  print(s, _ctx, numeric) {
    let out = ' LOG';
    out += numeric ? ` flags ${s.flags} level ${s.level}` : ` level ${SHORT[s.level] ?? logLevelName(s.level)}`;
    if (!numeric) for (const [name, bit] of FLAGS) if (s.flags & bit) out += ` ${name.slice(4)}`;
    if (s.prefix !== '') out += ` prefix "${s.prefix}"`;
    return out;
  },
};
