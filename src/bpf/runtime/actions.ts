/**
 * What a program's return value means, by program type (linux/bpf.h, linux/pkt_cls.h).
 */
import * as uapi from '../../wire/uapi/bpf.ts';

const XDP_ACTIONS: readonly string[] = ['XDP_ABORTED', 'XDP_DROP', 'XDP_PASS', 'XDP_TX', 'XDP_REDIRECT'];
const TC_ACTIONS: ReadonlyMap<number, string> = new Map([
  [-1, 'TC_ACT_UNSPEC'],
  [0, 'TC_ACT_OK'],
  [1, 'TC_ACT_RECLASSIFY'],
  [2, 'TC_ACT_SHOT'],
  [3, 'TC_ACT_PIPE'],
  [4, 'TC_ACT_STOLEN'],
  [5, 'TC_ACT_QUEUED'],
  [6, 'TC_ACT_REPEAT'],
  [7, 'TC_ACT_REDIRECT'],
  [8, 'TC_ACT_TRAP'],
]);
const LWT_ACTIONS: ReadonlyMap<number, string> = new Map([
  [0, 'BPF_OK'],
  [2, 'BPF_DROP'],
  [7, 'BPF_REDIRECT'],
  [128, 'BPF_LWT_REROUTE'],
]);

/** The name of return value `ret` (unsigned 32 bits) of a program of this type; '' when it has none. */
export function actionName(progType: number, ret: number): string {
  switch (progType) {
    case uapi.BPF_PROG_TYPE_XDP:
      return XDP_ACTIONS[ret] ?? '';
    case uapi.BPF_PROG_TYPE_SCHED_CLS:
    case uapi.BPF_PROG_TYPE_SCHED_ACT:
      return TC_ACTIONS.get(ret | 0) ?? '';
    case uapi.BPF_PROG_TYPE_LWT_IN:
    case uapi.BPF_PROG_TYPE_LWT_OUT:
    case uapi.BPF_PROG_TYPE_LWT_XMIT:
    case uapi.BPF_PROG_TYPE_LWT_SEG6LOCAL:
      return LWT_ACTIONS.get(ret) ?? '';
    case uapi.BPF_PROG_TYPE_CGROUP_SKB:
      return ret === 0 ? 'drop' : ret === 1 ? 'allow' : '';
    case uapi.BPF_PROG_TYPE_SOCKET_FILTER:
      return ret === 0 ? 'drop' : `keep ${ret} bytes at most`;
    default:
      return '';
  }
}
