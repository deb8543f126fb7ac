// The Nitro Security Module: the seven requests over a virtual TPM, and the card that serves stock images.

export { startNsmCard, type NsmCard, type NsmCardOptions } from './card.ts'
export { createNsm, type Nsm, type NsmIncident } from './nsm.ts'
export type { Measurements, PcrState } from './pcr-registers.ts'
export { LATENCY_BOUNDS_SECONDS, type RequestStatistics } from './statistics.ts'
