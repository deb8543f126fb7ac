// Which ports of an enclave may be dialled. Closed until its operator declares them, except the
// parent's reserved ports, which the guest needs and nobody can close.

import { addPorts, formatPortSet, removePorts, type PortSet } from './port-set.ts'

/** Ports of the parent that belong to Cloister itself. */
export const reservedPorts = { heartbeat: 9000, nsm: 9001, agent: 9002 } as const

export interface PortPolicy {
  /** Ports of the parent that the guest may dial. */
  readonly parentPorts: PortSet
  /** Ports of the guest that the host may dial. */
  readonly guestPorts: PortSet
}

/** Nothing but the reserved ports is open. */
export const closedPolicy: PortPolicy = {
  parentPorts: [{ first: reservedPorts.heartbeat, last: reservedPorts.agent }],
  guestPorts: [],
}

/** {@link closedPolicy} of an enclave whose NSM card serves its NSM: port 9001 is not served. */
export const closedNsmCardPolicy: PortPolicy = {
  parentPorts: [reservedPorts.heartbeat, reservedPorts.agent].map((port) => ({
    first: port,
    last: port,
  })),
  guestPorts: [],
}

/** @throws `ERR_VSOCK_PORTS` when a set falls into too many ranges. */
export function openPorts(policy: PortPolicy, opened: PortPolicy): PortPolicy {
  return {
    parentPorts: addPorts(policy.parentPorts, opened.parentPorts),
    guestPorts: addPorts(policy.guestPorts, opened.guestPorts),
  }
}

/**
 * The ports of `reserved` stay open.
 *
 * @throws `ERR_VSOCK_PORTS` when a set falls into too many ranges.
 */
export function closePorts(
  policy: PortPolicy,
  closed: PortPolicy,
  reserved: PortPolicy = closedPolicy,
): PortPolicy {
  const left = {
    parentPorts: removePorts(policy.parentPorts, closed.parentPorts),
    guestPorts: removePorts(policy.guestPorts, closed.guestPorts),
  }
  return openPorts(left, reserved)
}

/** As the card's command line and its `setPolicy` take it. */
export function policyTexts(policy: PortPolicy): { parentPorts: string; guestPorts: string } {
  return {
    parentPorts: formatPortSet(policy.parentPorts),
    guestPorts: formatPortSet(policy.guestPorts),
  }
}
