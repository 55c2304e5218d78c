/**
 * What programs are attached to: links (BPF_LINK_CREATE, bpf(2)). The host says, by attach type, how a program gets to
 * its place; a link holds it there until it is released.
 *
 *     const link = system.links.create(system.programs.get(id), { attachType: BPF_SK_LOOKUP });
 *     system.links.release(link.id);
 */
import { EINVAL, ENOENT, KernelError } from '../core/errno.ts';
import type { LoadedProgram } from './system.ts';

/** Where a program is to go. */
export type LinkTarget = {
  /** BPF_* attach type. */
  readonly attachType: number;
  /** sockmap, sockhash: number of the map. */
  readonly map?: number;
  /** Devices. */
  readonly ifindex?: number;
};

export type Link = {
  readonly id: number;
  readonly loaded: LoadedProgram;
  readonly target: LinkTarget;
};

/** Puts a program in its place: the answer takes it out again. Throws KernelError. */
export type Attacher = (loaded: LoadedProgram, target: LinkTarget) => () => void;

export class Links {
  readonly #attachers = new Map<number, Attacher>();
  readonly #links = new Map<number, Link & { readonly detach: () => void }>();
  #next = 1;

  /** The host takes programs of these attach types. */
  register(attachTypes: readonly number[], attacher: Attacher): void {
    for (const type of attachTypes) this.#attachers.set(type, attacher);
  }

  create(loaded: LoadedProgram, target: LinkTarget): Link {
    const attacher = this.#attachers.get(target.attachType);
    if (attacher === undefined)
      throw new KernelError(EINVAL, `netloom does not attach programs with attach type ${target.attachType}`);
    const detach = attacher(loaded, target);
    const link = { id: this.#next++, loaded, target, detach };
    this.#links.set(link.id, link);
    return link;
  }

  release(id: number): void {
    const link = this.#links.get(id);
    if (link === undefined) throw new KernelError(ENOENT, `there is no BPF link with id ${id}`);
    this.#links.delete(id);
    link.detach();
  }

  /** All links, oldest first. */
  all(): readonly Link[] {
    return [...this.#links.values()];
  }

  /** True when a link holds the program. */
  holds(program: number): boolean {
    return this.all().some((link) => link.loaded.id === program);
  }
}
