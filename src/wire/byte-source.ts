/** Bytes one after another, from memory or from a file that is larger than memory. */

export type ByteSource = {
  /** Bytes taken so far. */
  readonly at: number;
  /** The next `n` bytes, fewer at the end. They stay as they are when more is taken. */
  take(n: number): Uint8Array;
};

/** Reads up to `into.length` bytes into `into`; returns how many, 0 at the end (what `fs.readSync` does). */
export type ReadInto = (into: Uint8Array) => number;

/** Bytes in memory as a source. */
export function sourceOf(bytes: Uint8Array): ByteSource {
  let at = 0;
  return {
    get at() {
      return at;
    },
    take(n) {
      const out = bytes.slice(at, at + n);
      at += out.length;
      return out;
    },
  };
}

const CHUNK = 1 << 20;

/** A file as a source, read in pieces of 1 MiB. */
export function sourceFrom(read: ReadInto): ByteSource {
  const chunk = new Uint8Array(CHUNK);
  let from = 0;
  let to = 0;
  let at = 0;
  return {
    get at() {
      return at;
    },
    take(n) {
      // A length that lies must not cost its memory: what is there is gathered piece by piece.
      const parts: Uint8Array[] = [];
      let got = 0;
      while (got < n) {
        if (from === to) {
          from = 0;
          to = read(chunk);
          if (to === 0) break;
        }
        const part = chunk.slice(from, Math.min(to, from + n - got));
        parts.push(part);
        from += part.length;
        got += part.length;
      }
      at += got;
      return parts.length === 1 ? parts[0] : joined(parts, got);
    },
  };
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A view of all bytes of an array. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
