// What plugin.ts makes of the directory of real AWS documents.

declare module 'virtual:aws-documents' {
  interface Bytes {
    readonly length: number
    readonly sha256?: string
    readonly hex?: string
  }

  interface AwsDocument {
    readonly file: string
    readonly base64: string
    readonly timestampMs: number
    readonly expect: {
      readonly moduleId: string
      readonly debug: boolean
      readonly pcrCount: number
      readonly pcrs: Readonly<Record<string, string>>
      readonly publicKey: Bytes | null
      readonly userData: Bytes | null
      readonly nonce: Bytes | null
      readonly certificates: readonly { readonly length: number; readonly subjectCN: string }[]
    }
  }

  /** Empty where there are none. */
  const documents: readonly AwsDocument[]
  export default documents
}
