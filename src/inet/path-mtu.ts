/**
 * What is known about the MTU of paths: "fragmentation needed" and "packet too big" messages are kept by destination for
 * ten minutes (RFC 1191, RFC 8201; mtu_expires and min_pmtu of ip-sysctl.rst). Nothing is held until a first one comes.
 */
import type { World } from '../core/world.ts';
import { sameWords } from './words.ts';

const EXPIRES = 600e9;
/** Destinations remembered at most; when there are more, all are learned anew. */
const MAX_PATHS = 1024;

type Path = { readonly destination: Uint32Array; mtu: number; expires: number };

export class PathMtu {
  readonly #world: World;
  readonly #paths = new Map<number, Path[]>();
  #count = 0;

  constructor(world: World) {
    this.#world = world;
  }

  #find(destination: Uint32Array): Path | undefined {
    if (this.#count === 0) return undefined;
    return this.#paths.get(hash(destination))?.find((path) => sameWords(path.destination, destination));
  }

  /** The MTU towards a destination over a device or route of `mtu`. */
  of(destination: Uint32Array, mtu: number): number {
    const path = this.#find(destination);
    return path === undefined || path.expires <= this.#world.now ? mtu : Math.min(path.mtu, mtu);
  }

  /** A router said that packets to `destination` must not be longer than `mtu`; `current` is what was believed. */
  learn(destination: Uint32Array, mtu: number, current: number): void {
    if (mtu >= this.of(destination, current)) return;
    const expires = this.#world.now + EXPIRES;
    const path = this.#find(destination);
    if (path !== undefined) {
      path.mtu = mtu;
      path.expires = expires;
      return;
    }
    if (this.#count >= MAX_PATHS) {
      this.#paths.clear();
      this.#count = 0;
    }
    const key = hash(destination);
    const chain = this.#paths.get(key);
    const made: Path = { destination: destination.slice(), mtu, expires };
    if (chain === undefined) this.#paths.set(key, [made]);
    else chain.push(made);
    this.#count++;
  }
}

function hash(words: Uint32Array): number {
  return (words[0] ^ Math.imul(words[1], 31) ^ Math.imul(words[2], 1009) ^ Math.imul(words[3], 30_011)) >>> 0;
}
