/** Classic BPF: programs as SO_ATTACH_FILTER and libpcap have them. */

export { checkClassic, isClassicOpcode } from './check.ts';
export { type ClassicInsn, decodeClassic, encodeClassic } from './classic.ts';
export { type ClassicPacket, runClassic } from './evaluate.ts';
export { ClassicTextError, formatC, formatClassic, formatNumbers, parseClassic } from './text.ts';
export { type Translation, translateClassic } from './translate.ts';
