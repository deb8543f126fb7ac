// How well the key that signed a document is protected.

import { equalBytes } from './bytes.ts'
import { awsNitroRootG1 } from './roots.ts'
import type { Certificate, CertificatePath } from './x509/index.ts'
import { attributeOf } from './x509/index.ts'

/**
 * - `aws-nitro`: a Nitro card; the chain leads to AWS's own root.
 * - `hardware-tpm`: a TPM chip; the authority says so in the OU of the host chip's certificate.
 * - `software-tpm`: a software TPM; the host's root user is inside the trust boundary.
 * - `unknown`: the chain says none of these.
 */
export type Assurance = 'aws-nitro' | 'hardware-tpm' | 'software-tpm' | 'unknown'

/** Every assurance there is. */
export const ASSURANCES: readonly Assurance[] = [
  'aws-nitro',
  'hardware-tpm',
  'software-tpm',
  'unknown',
]

/** Reads the assurance off a verified path: its root, then the OU of the leaf's issuer. */
export function assuranceOf(path: CertificatePath): Assurance {
  if (equalBytes(path[0].der, awsNitroRootG1)) return 'aws-nitro'
  const issuer: Certificate | undefined = path.at(-2)
  const unit = issuer && attributeOf(issuer.subject, 'OU')
  return unit === 'hardware-tpm' || unit === 'software-tpm' ? unit : 'unknown'
}
