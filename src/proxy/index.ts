// vsock-proxy: servers that guests reach through ports of the parent, as far as an allowlist allows them.

export { normalizeHost } from './host-name.ts'
export { Proxy, type ProxyPlan } from './proxy.ts'
export {
  checkLocalPort,
  checkTargets,
  MAX_CONNECTIONS,
  readProxyConfig,
  type TargetDefaults,
} from './read-config.ts'
export type { ServedPort } from './served-port.ts'
export { describeServer, type AddressFamily, type Target } from './target.ts'
