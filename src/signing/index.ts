// Signing enclave images with keys that lie anywhere, and in two steps with keys that no computer of
// ours can reach.

export { exportFile, importSignature, signFile, type SignFileOptions } from './sign-file.ts'
export type { KeyOptions } from './key-options.ts'
export { openSigner, type OpenSigner } from './open-signer.ts'
