// Middleware for servers that serve attested clients only: Node's http, Express, Hono.

export {
  attestedExpress,
  attestedHandler,
  attestedHono,
  type AttestedHandler,
  type AttestedHandlerOptions,
  type HonoContext,
  type NodeRequest,
  type NodeResponse,
} from './adapters.ts'
export type { ChallengeOptions } from './challenge.ts'
export {
  createGate,
  DOCUMENT_HEADER,
  type Admission,
  type AttestationGate,
  type Refusal,
} from './gate.ts'
