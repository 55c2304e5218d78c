/** Match `mac`: the source MAC address. */
import { formatMac } from '../../../wire/address.ts';
import { mac as codec, type Mac } from '../../../wire/xt/mac.ts';
import { bang, type Extension } from '../extension.ts';
import { mac as parseMac } from '../values.ts';

export const mac: Extension<Mac> = {
  kind: 'match',
  name: 'mac',
  revision: 0,
  codec,
  options: [
    {
      name: 'mac-source',
      invert: true,
      mandatory: true,
      parse(s, value, invert) {
        s.address = parseMac(value);
        s.invert = invert ? 1 : 0;
      },
    },
  ],
  save: (s) => `${bang(s.invert)} --mac-source ${formatMac(s.address)}`,
  print: (s) => ` MAC${s.invert ? ' !' : ''}${formatMac(s.address)}`.replace('MAC', 'MAC '),
};
