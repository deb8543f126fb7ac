export { createNsm, type Nsm, type NsmIncident } from './nsm.ts'
export { type Measurements } from './pcr-registers.ts'
