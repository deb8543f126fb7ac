// The network card of one enclave, the host part of its network.

export { startNetworkCard, type NetworkCard, type NetworkCardOptions } from './card.ts'
export { explainFlow, type Explanation } from './explain.ts'
export { parseResolver, RESOLV_CONF, systemResolvers } from './resolvers.ts'
export type { NetworkRefusal, NetworkReport } from './report.ts'
