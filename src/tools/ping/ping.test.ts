import { expect, test } from 'vitest';
import { ENETUNREACH } from '../../core/errno.ts';
import { parseAddress } from '../../wire/address.ts';
import { ping } from './ping.ts';
import type { PingHost, PingReply } from './socket.ts';

/** A network of one answer: each request is answered by `answer` after `delay` nanoseconds. */
function network(answer: (seq: number) => Partial<PingReply> | undefined, delay = 1_234_567, errno = 0): PingHost {
  let now = 5e9;
  const queue: PingReply[] = [];
  return {
    now: () => now,
    wait(deadline, ready): void {
      for (;;) {
        if (queue.length > 0 && queue[0].at <= now && ready()) return;
        const next = queue.length > 0 ? Math.max(now, queue[0].at) : Number.POSITIVE_INFINITY;
        now = Math.min(deadline, next);
        if (now >= deadline) return;
      }
    },
    open: () => ({
      connect: () => ({ errno, source: parseAddress('10.0.0.1')! }),
      send(seq, payload): { errno: number } {
        const reply = answer(seq);
        if (reply !== undefined)
          queue.push({
            from: parseAddress('10.0.0.9')!,
            type: 0,
            code: 0,
            seq,
            ttl: 64,
            length: payload.length + 8,
            at: now + delay,
            ...reply,
          });
        return { errno: 0 };
      },
      receive: () => (queue.length > 0 && queue[0].at <= now ? queue.shift() : undefined),
      close: () => undefined,
    }),
  };
}

test('replies are printed and summed up as iputils does', () => {
  const result = ping(
    ['-c', '2', '10.0.0.9'],
    network(() => ({})),
  );
  expect(result).toEqual({
    code: 0,
    stderr: '',
    stdout: `PING 10.0.0.9 (10.0.0.9) 56(84) bytes of data.
64 bytes from 10.0.0.9: icmp_seq=1 ttl=64 time=1.23 ms
64 bytes from 10.0.0.9: icmp_seq=2 ttl=64 time=1.23 ms

--- 10.0.0.9 ping statistics ---
2 packets transmitted, 2 received, 0% packet loss, time 1001ms
rtt min/avg/max/mdev = 1.234/1.234/1.234/0.000 ms
`,
  });
});

test('silence ends after -W with exit code 1', () => {
  const result = ping(
    ['-c1', '-W', '2', '10.0.0.9'],
    network(() => undefined),
  );
  expect(result.code).toBe(1);
  expect(result.stdout).toContain('1 packets transmitted, 0 received, 100% packet loss, time 0ms\n\n');
});

test('errors are told and counted', () => {
  const result = ping(
    ['-c', '1', '10.0.0.9'],
    network(() => ({ type: 3, code: 1, from: parseAddress('10.0.0.1')! })),
  );
  expect(result.code).toBe(1);
  expect(result.stdout).toContain('From 10.0.0.1 icmp_seq=1 Destination Host Unreachable\n');
  expect(result.stdout).toContain('1 packets transmitted, 0 received, +1 errors, 100% packet loss');
});

test('a destination that cannot be reached, a bad argument and an unknown name are refused', () => {
  expect(
    ping(
      ['-c', '1', '8.8.8.8'],
      network(() => undefined, 0, ENETUNREACH),
    ),
  ).toEqual({
    code: 2,
    stdout: '',
    stderr: 'ping: connect: Network is unreachable\n',
  });
  expect(
    ping(
      ['-c', '0', '1.1.1.1'],
      network(() => undefined),
    ).stderr,
  ).toBe("ping: invalid argument: '0': out of range: 1 <= value <= 9223372036854775807\n");
  expect(
    ping(
      [],
      network(() => undefined),
    ).stderr,
  ).toBe('ping: usage error: Destination address required\n');
  expect(
    ping(
      ['-c1', 'nohost'],
      network(() => undefined),
    ).code,
  ).toBe(2);
});

test('with -w the count is of replies and the deadline ends it', () => {
  const result = ping(
    ['-w', '3', '-i', '1', '10.0.0.9'],
    network((seq) => (seq === 2 ? undefined : {})),
  );
  expect(result.code).toBe(0);
  expect(result.stdout).toContain('3 packets transmitted, 2 received, 33.3333% packet loss');
});
