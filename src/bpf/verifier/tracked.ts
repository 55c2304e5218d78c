/** Registers and stack slots whose origin is being traced, by frame: sets of bits. See `precision.ts`. */
import { MAX_CALL_FRAMES } from '../insn.ts';
import type { Step } from './state.ts';

/** In places of linked scalars, slots are numbered behind the registers. */
export const SLOT = 16;

/** Frames, and one that is being entered. */
const FRAMES: number = MAX_CALL_FRAMES + 1;
/** 64 slots of a frame are two words. */
const WORDS = 2;

/** One serves all tracing of a verification: there are more walks back than instructions walked. */
export class Tracked {
  frame = 0;
  readonly regs: Int32Array = new Int32Array(FRAMES);
  readonly #slots = new Int32Array(FRAMES * WORDS);

  /** Empty, and in this frame. */
  start(frame: number): this {
    this.frame = frame;
    this.regs.fill(0);
    this.#slots.fill(0);
    return this;
  }

  has(reg: number): boolean {
    return (this.regs[this.frame] & (1 << reg)) !== 0;
  }
  add(reg: number, frame: number = this.frame): void {
    // The frame pointer is a constant.
    if (reg < 10) this.regs[frame] |= 1 << reg;
  }
  /** Also the frame pointer: stored or compared, it is not looked through. */
  addAny(reg: number): void {
    this.regs[this.frame] |= 1 << reg;
  }
  drop(reg: number, frame: number = this.frame): void {
    this.regs[frame] &= ~(1 << reg);
  }

  hasSlot(frame: number, spi: number): boolean {
    return (this.#slots[frame * WORDS + (spi >>> 5)] & (1 << (spi & 31))) !== 0;
  }
  addSlot(frame: number, spi: number): void {
    this.#slots[frame * WORDS + (spi >>> 5)] |= 1 << (spi & 31);
  }
  /** True when it was there. */
  dropSlot(frame: number, spi: number): boolean {
    if (!this.hasSlot(frame, spi)) return false;
    this.#slots[frame * WORDS + (spi >>> 5)] &= ~(1 << (spi & 31));
    return true;
  }
  anySlot(frame: number): boolean {
    return (this.#slots[frame * WORDS] | this.#slots[frame * WORDS + 1]) !== 0;
  }
  clear(frame: number): void {
    this.regs[frame] = 0;
    this.#slots.fill(0, frame * WORDS, (frame + 1) * WORDS);
  }

  get empty(): boolean {
    for (let f = this.frame; f >= 0; f--) if (this.regs[f] !== 0 || this.anySlot(f)) return false;
    return true;
  }

  #hasPlace(frame: number, place: number): boolean {
    return place < SLOT ? (this.regs[frame] & (1 << place)) !== 0 : this.hasSlot(frame, place - SLOT);
  }

  /** Linked registers: one precise, all precise. */
  sync(step: Step | undefined): void {
    const linked = step?.linked;
    if (linked === undefined) return;
    let any = false;
    for (let i = 0; i < linked.length && !any; i += 2) any = this.#hasPlace(linked[i], linked[i + 1]);
    if (!any) return;
    for (let i = 0; i < linked.length; i += 2)
      if (linked[i + 1] < SLOT) this.add(linked[i + 1], linked[i]);
      else this.addSlot(linked[i], linked[i + 1] - SLOT);
  }

  text(frame: number = this.frame): { regs: string; slots: string } {
    const regs: string[] = [];
    const slots: string[] = [];
    for (let i = 0; i <= 10; i++) if ((this.regs[frame] & (1 << i)) !== 0) regs.push(`r${i}`);
    for (let spi = 0; spi < WORDS * 32; spi++) if (this.hasSlot(frame, spi)) slots.push(`-${(spi + 1) * 8}`);
    return { regs: regs.join(','), slots: slots.join(',') };
  }
}
