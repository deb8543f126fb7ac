// From what a caller asks for, and what the image's manifest asks for where the caller says nothing, to a
// launch request.

import { launchRequest, type LaunchOptions, type LaunchRequest } from '../enclaves/index.ts'
import { checkDeclared } from '../network/index.ts'
import { peekManifest, type MeasuredManifest } from '../manifest/index.ts'

export interface LaunchPlan {
  readonly request: LaunchRequest
  /** The image's, where it has one. */
  readonly manifest: MeasuredManifest | undefined
}

/** @throws As `launchRequest`; `ERR_EIF_UNREADABLE`, `ERR_NETWORK_UNDECLARED` */
export async function planLaunch(options: Omit<LaunchOptions, 'asked'>): Promise<LaunchPlan> {
  const manifest = await peekManifest(options.eifPath)
  checkDeclared(options.network?.publications ?? [], manifest)
  const request = launchRequest({
    ...options,
    name: options.name ?? manifest?.name,
    restart: options.restart ?? manifest?.restart,
    asked: manifest,
  })
  return { request, manifest }
}
