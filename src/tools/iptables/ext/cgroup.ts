/** Match `cgroup`: the control group of the socket that sent the packet. */
import { CGROUP_PATH_LENGTH, type Cgroup, cgroup as codec } from '../../../wire/xt/cgroup.ts';
import { problem } from '../errors.ts';
import { bang, type Extension } from '../extension.ts';
import { uint } from '../values.ts';

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

const pathOf = (s: Cgroup): string => fromUtf8.decode(s.value.subarray(0, Math.max(0, s.value.indexOf(0))));
const view = (s: Cgroup): DataView => new DataView(s.value.buffer, s.value.byteOffset);
const classOf = (s: Cgroup): number => view(s).getUint32(0, true);

export const cgroup: Extension<Cgroup> = {
  kind: 'match',
  name: 'cgroup',
  revision: 2,
  codec,
  options: [
    {
      name: 'path',
      invert: true,
      parse(s, value, invert) {
        const bytes = utf8.encode(value);
        if (bytes.length >= CGROUP_PATH_LENGTH) throw problem(`cgroup: path is too long`);
        s.value.set(bytes);
        s.hasPath = 1;
        s.invertPath = invert ? 1 : 0;
      },
    },
    {
      name: 'cgroup',
      invert: true,
      parse(s, value, invert, ctx) {
        view(s).setUint32(0, uint(ctx, value), true);
        s.hasClassid = 1;
        s.invertClassid = invert ? 1 : 0;
      },
    },
  ],
  save(s) {
    let out = '';
    if (s.hasPath) out += `${bang(s.invertPath)} --path "${pathOf(s).replace(/["\\]/g, '\\$&')}"`;
    if (s.hasClassid) out += `${bang(s.invertClassid)} --cgroup ${classOf(s)}`;
    return out;
  },
  print(s) {
    let out = '';
    if (s.hasPath) out += ` cgroup ${s.invertPath ? '! ' : ''}${pathOf(s)}`;
    if (s.hasClassid) out += ` cgroup ${s.invertClassid ? '! ' : ''}${classOf(s)}`;
    return out;
  },
};
