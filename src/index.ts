/**
 * The `netloom` package: labs of Linux hosts inside a test.
 *
 *     import { lab, host } from 'netloom';
 *
 * The tools and the wire formats have entry points of their own (`netloom/nft`, `netloom/wire/udp`...).
 */
export {
  host,
  type Impairments,
  Lab,
  type LabCheckResult,
  LabError,
  LabHost,
  type LabOptions,
  lab,
  NO_IMPAIRMENTS,
  type RealClock,
  type StartedCommand,
} from './lab/index.ts';
