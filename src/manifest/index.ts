// `cloister.yaml`: what an application declares of itself, as text and as it is measured.

export type { EgressPolicy, EgressRule } from './egress.ts'
export type { IngressPort, IngressPorts } from './ingress.ts'
export { ManifestReader, peekManifest } from './in-image.ts'
export type { ManifestText, RestartRule } from './manifest-text.ts'
export { measuredPart, type MeasuredManifest, type Prefixes } from './measured.ts'
export { parseAnyEgress, parseEgress, parseManifest } from './parse-manifest.ts'
