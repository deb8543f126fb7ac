// What a build reports while it runs; the command decides how a person sees it.

export type Progress =
  /** How far a step is, in parts of it. */
  | { readonly step: 'unpack' | 'pack' | 'write'; readonly done: number; readonly total: number }
  /** An image is fetched from elsewhere. */
  | { readonly step: 'pull'; readonly what: string }
  /** A Dockerfile is built. */
  | { readonly step: 'build'; readonly what: string }
  /** Something was left out of the image, or will not work. */
  | { readonly step: 'notice'; readonly text: string }

export type ReportProgress = (progress: Progress) => void

export function ignoreProgress(): void {
  // Nobody looks.
}
