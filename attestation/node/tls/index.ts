// TLS to attested servers, for Node.

export { createAttestedFetch, type AttestedFetch } from './attested-fetch.ts'
export type { AttestedFetchOptions } from './fetch-options.ts'
export { createPinnedAgent, spkiPinOf, type SpkiPin } from './pinned-agent.ts'
export type { AttestedRequestInit } from './request.ts'
