// The modification times of an image's files.

import { flatten, type Directory } from './tree.ts'

/** `zero`: all are 1970-01-01. `keep`: each is the one in the image or directory. */
export const TIMES_RULES = ['zero', 'keep'] as const
export type TimesRule = (typeof TIMES_RULES)[number]

/** 2106-02-07: a cpio header and a SquashFS inode have 32 bits for a time. */
const MAX_TIME = 0xffff_ffff

/** A time in seconds since 1970 as an image can have it: whole, from 0 to 2^32 - 1. */
export function imageTime(seconds: number): number {
  return Math.min(Math.max(Math.floor(seconds), 0), MAX_TIME)
}

/** Makes every time 0: then the same files make the same image, whenever they were written. */
export function dropTimes(root: Directory): void {
  for (const { node } of [{ node: root }, ...flatten(root)])
    if (node.attributes.mtime !== 0) node.attributes = { ...node.attributes, mtime: 0 }
}
