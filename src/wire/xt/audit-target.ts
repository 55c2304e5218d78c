/** The structure of xt target `AUDIT` revision 0 (linux/netfilter: xt_AUDIT.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type AuditTarget = {
  type: number;
};

export const auditTarget: Codec<AuditTarget> = struct<AuditTarget>({
  type: u8,
});
