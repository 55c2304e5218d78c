/**
 * What both sides of the differential test are: a router between two taps, as `../shared/oracle` describes it.
 *
 *     A 10.0.0.2, fd00::2 (02:..:a0) -- t0 10.0.0.1/24 fd00::1/64 | router | t1 10.0.1.1/24 fd01::1/64 -- B 10.0.1.2, fd01::2 (02:..:a1)
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A frame on its way in: the tap it enters by (0 or 1) and its bytes in hex. */
export type Frame = readonly [side: 0 | 1, hex: string];
/** What one frame caused: frames that left by t0, frames that left by t1 (hex). */
export type Outcome = readonly [t0: readonly string[], t1: readonly string[]];

export type Peer = {
  /** Replaces the ruleset and empties the conntrack table; the error text when the ruleset is refused. */
  load(rules: string): Promise<string | undefined>;
  /** Sends frames in order, each after everything the one before caused. */
  send(frames: readonly Frame[]): Promise<Outcome[]>;
  close(): void;
};

const here = dirname(fileURLToPath(import.meta.url));

/** The shared data's folder: `../shared` beside the repository, or NETLOOM_SHARED. */
export function sharedFolder(): string {
  if (process.env.NETLOOM_SHARED) return process.env.NETLOOM_SHARED;
  for (const up of ['../..', '../../..', '../../../..']) {
    const candidate = resolve(here, up, 'shared');
    if (existsSync(join(candidate, 'oracle'))) return candidate;
  }
  return resolve(here, '../../../shared');
}

/** Why this machine cannot be the oracle; undefined when it can. */
export function whyNoKernel(): string | undefined {
  if (process.platform !== 'linux') return 'the kernel oracle needs Linux';
  if (process.getuid?.() !== 0) return 'the kernel oracle needs root';
  if (!existsSync(join(sharedFolder(), 'oracle/netfilter_taps.py'))) return 'oracle/netfilter_taps.py is not here';
  if (!existsSync('/usr/sbin/nft')) return 'the nftables package is not installed';
  if (!existsSync('/dev/net/tun')) return '/dev/net/tun is not here';
  if (spawnSync('unshare', ['-n', 'true']).status !== 0) return 'network namespaces are not allowed here';
  return undefined;
}

/** The running kernel, in a namespace of its own that ends with the process behind it. */
export class KernelPeer implements Peer {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;
  #stderr = '';

  constructor() {
    const driver = [
      join(here, 'taps-driver.py'),
      resolve(here, '../../../conformance/differential/taps-driver.py'),
    ].find(existsSync);
    if (driver === undefined) throw new Error('taps-driver.py is not beside peer.ts');
    this.#process = spawn('/usr/bin/python3', ['-B', driver, join(sharedFolder(), 'oracle')]);
    this.#process.stderr.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    this.#answers = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async #ask<T>(command: object): Promise<T> {
    this.#process.stdin.write(`${JSON.stringify(command)}\n`);
    const { value, done } = await this.#answers.next();
    if (done) throw new Error(`the kernel oracle ended: ${this.#stderr}`);
    return JSON.parse(value) as T;
  }

  async load(rules: string): Promise<string | undefined> {
    const { rc, err } = await this.#ask<{ rc: number; err: string }>({ op: 'load', rules });
    return rc === 0 ? undefined : err;
  }

  async send(frames: readonly Frame[]): Promise<Outcome[]> {
    return (await this.#ask<{ out: Outcome[] }>({ op: 'send', frames })).out;
  }

  /** What `conntrack -L expect` lists. */
  async expectations(): Promise<string> {
    return (await this.#ask<{ text: string }>({ op: 'expect' })).text;
  }

  close(): void {
    this.#process.stdin.end();
  }
}
