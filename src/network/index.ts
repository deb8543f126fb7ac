// The network card of one enclave, the host part of its network.

export { startNetworkCard, type NetworkCard, type NetworkCardOptions } from './card.ts'
export { bindSocket, type BoundSocket } from './bound-socket.ts'
export { explainFlow, type Explanation } from './explain.ts'
export {
  checkDeclared,
  checkPublications,
  describePublication,
  parsePublication,
  type Publication,
} from './publication.ts'
export { describeNetworkRefusal, parseRefusalLine, type RecordedRefusal } from './refusal-line.ts'
export { parseResolver, RESOLV_CONF, systemResolvers } from './resolvers.ts'
export type { ArrivalsReport, NetworkRefusal, NetworkReport, TurnedAway } from './report.ts'
