/**
 * Named points of the stack that tracing programs can be attached to: the place hands over what it knows, one event a
 * time, while somebody listens. Names and arguments are those of Linux's tracepoints and functions
 * (`bpf/btf-types/points.ts` has the list); a place that nobody listens to costs one look at `world.probe`.
 */

/** What is shown of a device. */
export type ProbeDevice = {
  readonly name: string;
  readonly ifindex: number;
  readonly mtu: number;
  readonly type: number;
  readonly flags: number;
  readonly address: Uint8Array;
};

export type ProbeValue = number | string | Uint8Array;

export type ProbeEvent = {
  readonly point: string;
  /** Name of the host it happens on, '' when the place does not know. */
  readonly host: string;
  /** The packet, lent for the call; -1 for none. */
  readonly p: number;
  /** The device: by index on that host, or itself. */
  readonly ifindex?: number;
  readonly device?: ProbeDevice;
  /** Arguments that are neither the packet nor the device, by their names. */
  readonly args?: Readonly<Record<string, ProbeValue>>;
};

export type ProbeSink = { hit(event: ProbeEvent): void };

/** Finds a host's devices for events that know only their number. */
export type DeviceLookup = (ifindex: number) => ProbeDevice | undefined;
