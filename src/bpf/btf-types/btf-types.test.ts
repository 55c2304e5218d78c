import { describe, expect, it } from 'vitest';
import { DROP } from '../../core/drop.ts';
import { BTF_KIND_STRUCT } from '../btf/format.ts';
import { PTR_MAYBE_NULL, PTR_TO_BTF_ID, PTR_TRUSTED, SCALAR_VALUE } from '../verifier/reg.ts';
import { declaration, layout } from './declaration.ts';
import {
  buildOwnBtf,
  checkArgumentAccess,
  checkRecordAccess,
  checkStructAccess,
  contextBytes,
  offsetOf,
  STRUCTS,
  sizeOf,
  TRACE_POINTS,
  tracePoint,
} from './index.ts';

const none = (name: string): never => {
  throw new Error(name);
};

describe('declarations', () => {
  it('are laid out as C does it', () => {
    const s = layout('s', 'u8 a; u32 b; be16 c[3]; char d; struct t *e; u8 f', none);
    expect(s.members.map((m) => [m.name, m.offset, m.size])).toEqual([
      ['a', 0, 1],
      ['b', 4, 4],
      ['c', 8, 6],
      ['d', 14, 1],
      ['e', 16, 8],
      ['f', 24, 1],
    ]);
    expect([s.size, s.align]).toEqual([32, 8]);
  });

  it('that are none are errors', () => {
    for (const text of ['', 'u32', 'foo x', 'void x', 'u32 x[]', 'struct x']) expect(() => declaration(text)).toThrow();
  });
});

describe('tracing points', () => {
  const kfree = tracePoint('kfree_skb')!;

  it('are found by name, with their group for records', () => {
    expect(tracePoint('skb/kfree_skb')).toBe(kfree);
    expect(tracePoint('net/kfree_skb')).toBeUndefined();
    expect(tracePoint('nothing')).toBeUndefined();
  });

  it('hand out trusted pointers, or NULL where they may', () => {
    expect(checkArgumentAccess(kfree, 0, 8)).toEqual({ regType: PTR_TO_BTF_ID | PTR_TRUSTED, btfName: 'sk_buff' });
    expect(checkArgumentAccess(kfree, 8, 8)?.regType).toBe(SCALAR_VALUE);
    expect(checkArgumentAccess(kfree, 16, 4)?.regType).toBe(SCALAR_VALUE);
    expect(checkArgumentAccess(kfree, 24, 8)).toEqual({
      regType: PTR_TO_BTF_ID | PTR_TRUSTED | PTR_MAYBE_NULL,
      btfName: 'sock',
    });
    expect(checkArgumentAccess(kfree, 0, 4)).toBeUndefined();
    expect(checkArgumentAccess(kfree, 32, 8)).toBeUndefined();
    expect(checkArgumentAccess(kfree, 4, 8)).toBeUndefined();
    expect(checkArgumentAccess(kfree, -8, 8)).toBeUndefined();
  });

  it('that are functions show their result to fexit programs', () => {
    const ip = tracePoint('ip_rcv')!;
    expect(contextBytes(ip)).toBe(16);
    expect(checkArgumentAccess(ip, 16, 8)).toBeUndefined();
    expect(checkArgumentAccess(ip, 16, 8, true)?.regType).toBe(SCALAR_VALUE);
  });

  it('have records as Linux has them', () => {
    const at = (name: string): Record<string, number> =>
      Object.fromEntries(tracePoint(name)!.record!.members.map((m) => [m.name, m.offset]));
    expect(at('kfree_skb')).toEqual({ ent: 0, skbaddr: 8, location: 16, rx_sk: 24, protocol: 32, reason: 36 });
    expect(at('netif_receive_skb')).toEqual({ ent: 0, skbaddr: 8, len: 16, __data_loc_name: 20 });
    expect(checkRecordAccess(kfree, 36, 4)).toBe(true);
    expect(checkRecordAccess(kfree, 40, 4)).toBe(false);
    expect(checkRecordAccess(kfree, 0, 4)).toBe(false);
  });
});

describe('structs', () => {
  it('lead to other structs by pointers that are not trusted', () => {
    expect(checkStructAccess('sk_buff', offsetOf('sk_buff', 'dev'), 8)).toEqual({
      regType: PTR_TO_BTF_ID,
      btfName: 'net_device',
    });
    expect(checkStructAccess('sk_buff', offsetOf('sk_buff', 'dev'), 4)).toBeUndefined();
    expect(checkStructAccess('sk_buff', offsetOf('sk_buff', 'data'), 8)?.regType).toBe(SCALAR_VALUE);
  });

  it('may be read inside their members and nowhere else', () => {
    for (const [name, struct] of STRUCTS) {
      for (const size of [1, 2, 4, 8]) {
        expect(checkStructAccess(name, struct.size - size + 1, size)).toBeUndefined();
        expect(checkStructAccess(name, -1, size)).toBeUndefined();
      }
      for (const m of struct.members) {
        const allowed =
          m.type.kind === 'struct' || checkStructAccess(name, m.offset, Math.min(8, m.size)) !== undefined;
        expect([name, m.name, allowed]).toEqual([name, m.name, true]);
      }
    }
    const name = offsetOf('net_device', 'name');
    expect(checkStructAccess('net_device', name + 12, 4)).toBeDefined();
    expect(checkStructAccess('net_device', name + 12, 8)).toBeUndefined();
  });

  it('nest', () => {
    const port = offsetOf('tcp_sock', 'inet_conn.icsk_inet.sk.__sk_common.skc_dport');
    expect(port).toBe(offsetOf('sock', '__sk_common.skc_dport'));
    expect(checkStructAccess('tcp_sock', port, 2)).toBeDefined();
    expect(() => offsetOf('sock', 'nothing')).toThrow(RangeError);
    expect(sizeOf('tcp_sock')).toBeGreaterThan(sizeOf('sock'));
  });
});

describe('the BTF of all this', () => {
  it('reads back with the same layouts', () => {
    const btf = buildOwnBtf();
    for (const struct of STRUCTS.values()) {
      const id = btf.find(struct.name, BTF_KIND_STRUCT);
      expect(btf.sizeOf(id)).toBe(struct.size);
      expect(btf.members(id).map((m) => [m.name, m.bitOffset])).toEqual(
        struct.members.map((m) => [m.name, m.offset * 8]),
      );
    }
    for (const point of TRACE_POINTS.values()) {
      expect(btf.named(point.group === '' ? point.name : `btf_trace_${point.name}`)).toHaveLength(1);
    }
    const [reason] = btf.named('skb_drop_reason');
    expect(btf.enumerators(reason)).toContainEqual({
      name: 'SKB_DROP_REASON_NETFILTER_DROP',
      value: BigInt(DROP.NETFILTER_DROP),
    });
  });
});
