/**
 * `struct nft_pktinfo`, the context of nftables chains as programs: a program type of netloom's own, which only the compiler
 * of chains loads (netfilter/nft/compile). Pointers first, then what the hook knows, then the register file of nftables.
 */
import { META_BYTES } from '../../core/slab.ts';
import { PTR_TO_MEM, PTR_TO_PACKET, PTR_TO_PACKET_END } from '../verifier/reg.ts';
import { bytes, type Field, integer, pointer, type Struct, word } from './layout.ts';
import { type ContextRules, names } from './rules.ts';

/** Beyond the kernel's numbers, so that nothing from outside names it. */
export const BPF_PROG_TYPE_NFT_CHAIN = 0x4e46;

export const NFT_CTX = {
  /** Network header. */
  network: 0,
  /** Transport header, of later fragments too; without one the end of the packet. */
  transport: 4,
  /** Transport header, not of later fragments. */
  transportWhole: 8,
  /** Link header, the end of the packet when there is none. */
  mac: 12,
  dataEnd: 16,
  /** Metadata of the packet (core/slab.ts). */
  meta: 20,
  pf: 24,
  hook: 28,
  iif: 32,
  oif: 36,
  l4proto: 40,
  hasTransport: 44,
  /** Jumps that are open. */
  depth: 48,
  /** Handle of the rule that decides. */
  rule: 52,
  /** Number of the chain that an expression called says to jump to. */
  chain: 56,
  /** World time in nanoseconds, plus one. */
  now: 64,
  regs: 72,
  iifname: 152,
  oifname: 168,
} as const;
export const NFT_CTX_SIZE = 184;
const REGS_BYTES = 80;

/** A pointer that is its own beginning: what is known of one says nothing of another. */
const header = (name: string, offset: number): Field => ({ ...pointer(name, offset, 4, PTR_TO_PACKET), own: true });

export const NFT_PKTINFO: Struct = {
  name: 'nft_pktinfo',
  size: NFT_CTX_SIZE,
  fields: [
    header('network', NFT_CTX.network),
    header('transport', NFT_CTX.transport),
    header('transport_whole', NFT_CTX.transportWhole),
    header('mac', NFT_CTX.mac),
    pointer('data_end', NFT_CTX.dataEnd, 4, PTR_TO_PACKET_END),
    { ...pointer('meta', NFT_CTX.meta, 4, PTR_TO_MEM), memSize: META_BYTES },
    word('pf', NFT_CTX.pf),
    word('hook', NFT_CTX.hook),
    word('iif', NFT_CTX.iif),
    word('oif', NFT_CTX.oif),
    word('l4proto', NFT_CTX.l4proto),
    word('has_transport', NFT_CTX.hasTransport),
    word('depth', NFT_CTX.depth),
    word('rule', NFT_CTX.rule),
    word('chain', NFT_CTX.chain),
    integer('now', NFT_CTX.now, 8),
    bytes('regs', NFT_CTX.regs, REGS_BYTES),
    bytes('iifname', NFT_CTX.iifname, 16),
    bytes('oifname', NFT_CTX.oifname, 16),
  ],
};

const ALL = names(NFT_PKTINFO);
const WRITTEN = new Set(['depth', 'rule', 'regs']);

export const NFT_CHAIN_TYPES: ReadonlyMap<number, ContextRules> = new Map([
  [BPF_PROG_TYPE_NFT_CHAIN, { struct: NFT_PKTINFO, read: () => ALL, write: () => WRITTEN }],
]);
