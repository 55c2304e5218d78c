/**
 * All helpers that netloom implements, by number.
 */
import { HELPER_NAMES } from '../../../wire/uapi/bpf.ts';
import type { HelperTable } from '../helper.ts';
import { checksumHelpers } from './checksum.ts';
import { clockHelpers } from './clock.ts';
import { controlHelpers } from './control.ts';
import { dynptrHelpers } from './dynptr.ts';
import { eventHelpers } from './events.ts';
import { lwtHelpers } from './lwt.ts';
import { mapHelpers } from './maps.ts';
import { netHelpers } from './net.ts';
import { redirectHelpers } from './redirect.ts';
import { skbBytesHelpers } from './skb-bytes.ts';
import { skbMetaHelpers } from './skb-meta.ts';
import { skbShapeHelpers } from './skb-shape.ts';
import { socketHelpers } from './socket.ts';
import { stringHelpers } from './strings.ts';
import { tracingHelpers } from './tracing.ts';
import { tunnelHelpers } from './tunnel.ts';
import { xdpHelpers } from './xdp.ts';

/** bpf_tail_call: the engines do it themselves. */
export const TAIL_CALL = 12;

export const HELPERS: HelperTable = new Map([
  ...mapHelpers,
  ...clockHelpers,
  ...checksumHelpers,
  ...skbBytesHelpers,
  ...skbShapeHelpers,
  ...skbMetaHelpers,
  ...xdpHelpers,
  ...redirectHelpers,
  ...tunnelHelpers,
  ...lwtHelpers,
  ...netHelpers,
  ...socketHelpers,
  ...eventHelpers,
  ...dynptrHelpers,
  ...stringHelpers,
  ...controlHelpers,
  ...tracingHelpers,
]);

/** Why a helper cannot be called, '' when it can. */
export function unsupportedHelper(id: number): string {
  if (id === TAIL_CALL || HELPERS.has(id)) return '';
  return `netloom does not implement helper bpf_${HELPER_NAMES[id] ?? `#${id}`}`;
}
