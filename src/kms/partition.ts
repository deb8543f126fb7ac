// AWS's partitions, by the regions in them, and how a region is named.
// @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html

const PREFIXES: readonly (readonly [prefix: string, partition: string])[] = [
  ['cn-', 'aws-cn'],
  ['us-gov-', 'aws-us-gov'],
  ['us-iso-', 'aws-iso'],
  ['us-isob-', 'aws-iso-b'],
  ['eu-isoe-', 'aws-iso-e'],
  ['us-isof-', 'aws-iso-f'],
  ['eusc-', 'aws-eusc'],
]

/** The partition of a region; `aws` for names that AWS has not given. */
export function partitionOf(region: string): string {
  return PREFIXES.find(([prefix]) => region.startsWith(prefix))?.[1] ?? 'aws'
}

/** `us-east-1`; the direction of an ordinary region is not the name of a partition. */
const REGION =
  /^(?:[a-z]{2}-(?!gov-|iso)|us-gov-|us-iso[bf]?-|eu-isoe-|eusc-de-)[a-z]{4,16}-[1-9]\d?$/

/** Whether AWS could have a region of that name in one of its partitions. */
export function isRegion(name: string): boolean {
  return REGION.test(name)
}
