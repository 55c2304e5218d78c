/** Traffic control numbers (linux/pkt_sched.h, linux/pkt_cls.h, linux/rtnetlink.h). */

/** Attributes of a tc message, behind `struct tcmsg`. */
export const TCA_KIND = 1;
export const TCA_OPTIONS = 2;
export const TCA_STATS = 3;
export const TCA_CHAIN = 11;

/** Attributes of the bpf classifier. */
export const TCA_BPF_ACT = 1;
export const TCA_BPF_POLICE = 2;
export const TCA_BPF_CLASSID = 3;
export const TCA_BPF_OPS_LEN = 4;
export const TCA_BPF_OPS = 5;
export const TCA_BPF_FD = 6;
export const TCA_BPF_NAME = 7;
export const TCA_BPF_FLAGS = 8;
export const TCA_BPF_FLAGS_GEN = 9;
export const TCA_BPF_TAG = 10;
export const TCA_BPF_ID = 11;

export const TCA_BPF_FLAG_ACT_DIRECT: number = 1 << 0;

// Handles: major number in the high, minor in the low 16 bits.
export const TC_H_ROOT = 0xffffffff;
export const TC_H_INGRESS = 0xfffffff1;
export const TC_H_CLSACT = 0xfffffff1;
/** The clsact qdisc's own handle, ffff:. */
export const TC_H_CLSACT_HANDLE = 0xffff0000;
export const TC_H_MIN_INGRESS = 0xfff2;
export const TC_H_MIN_EGRESS = 0xfff3;

/** Bytes of `struct tcmsg`: family, pad, ifindex, handle, parent, info. */
export const TCMSG_LENGTH = 20;

// IFLA_XDP_FLAGS.
export const XDP_FLAGS_UPDATE_IF_NOEXIST: number = 1 << 0;
export const XDP_FLAGS_SKB_MODE: number = 1 << 1;
export const XDP_FLAGS_DRV_MODE: number = 1 << 2;
export const XDP_FLAGS_HW_MODE: number = 1 << 3;
export const XDP_FLAGS_REPLACE: number = 1 << 4;
