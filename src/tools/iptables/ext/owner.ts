/** Match `owner`: who sent a local packet. */
import { owner as codec, type Owner } from '../../../wire/xt/owner.ts';
import { problem } from '../errors.ts';
import { bang, type Context, type Extension } from '../extension.ts';
import { number } from '../values.ts';

const UID = 1;
const GID = 2;
const SOCKET = 4;
const SUPPL = 8;

function ids(text: string, ctx: Context, lookup: (name: string) => number | undefined): [number, number] {
  const named = lookup(text);
  if (named !== undefined) return [named, named];
  const m = /^(\d+)(?:-(\d+))?$/.exec(text);
  const from = m === null ? undefined : number(m[1], 0xfffffffe);
  const to = m === null || m[2] === undefined ? from : number(m[2], 0xfffffffe);
  if (from === undefined || to === undefined) throw problem(`owner: Bad value for "--${ctx.opt}" option: "${text}"`);
  return [from, to];
}

function idText(from: number, to: number): string {
  return from === to ? `${from}` : `${from}-${to}`;
}

export const owner: Extension<Owner> = {
  kind: 'match',
  name: 'owner',
  revision: 1,
  codec,
  options: [
    {
      name: 'uid-owner',
      invert: true,
      parse(s, value, invert, ctx) {
        [s.uidMin, s.uidMax] = ids(value, ctx, (name) => ctx.user(name));
        s.match |= UID;
        if (invert) s.invert |= UID;
      },
    },
    {
      name: 'gid-owner',
      invert: true,
      parse(s, value, invert, ctx) {
        [s.gidMin, s.gidMax] = ids(value, ctx, (name) => ctx.group(name));
        s.match |= GID;
        if (invert) s.invert |= GID;
      },
    },
    {
      name: 'socket-exists',
      arg: 'none',
      invert: true,
      parse(s, _value, invert) {
        s.match |= SOCKET;
        if (invert) s.invert |= SOCKET;
      },
    },
    {
      name: 'suppl-groups',
      arg: 'none',
      parse(s) {
        if (!(s.match & GID))
          throw problem('owner: Bad value for "--suppl-groups" option: "you need to use --gid-owner first"');
        s.match |= SUPPL;
      },
    },
  ],
  check(_s, ctx) {
    if (ctx.seen.size === 0)
      throw problem('owner: At least one of --uid-owner, --gid-owner or --socket-exists is required');
  },
  save(s) {
    let out = '';
    if (s.match & SOCKET) out += `${bang(s.invert & SOCKET)} --socket-exists`;
    if (s.match & UID) out += `${bang(s.invert & UID)} --uid-owner ${idText(s.uidMin, s.uidMax)}`;
    if (s.match & GID) out += `${bang(s.invert & GID)} --gid-owner ${idText(s.gidMin, s.gidMax)}`;
    if (s.match & SUPPL) out += ' --suppl-groups';
    return out;
  },
  print(s) {
    let out = '';
    if (s.match & SOCKET) out += `${bang(s.invert & SOCKET)} owner socket exists`;
    if (s.match & UID) out += `${s.invert & UID ? ' ! ' : ' '}owner UID match ${idText(s.uidMin, s.uidMax)}`;
    if (s.match & GID) out += `${s.invert & GID ? ' ! ' : ' '}owner GID match ${idText(s.gidMin, s.gidMax)}`;
    if (s.match & SUPPL) out += ' incl. suppl. groups';
    return out;
  },
};
