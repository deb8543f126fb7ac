// TLS to attested servers, for Node.

export {
  createAttestedFetch,
  type AttestedFetch,
  type AttestedFetchOptions,
} from './attested-fetch.ts'
export { createPinnedAgent, spkiPinOf, type SpkiPin } from './pinned-agent.ts'
export type { AttestedRequestInit } from './request.ts'
