// What an image measures to, as records show it, and whether it is what an earlier start measured.

import type { Eif } from '../eif/index.ts'
import type { MeasurementTexts } from '../enclaves/index.ts'
import { CloisterError } from '../errors.ts'

/** The image's own values, in debug mode too, where documents carry zeros. */
export function shownMeasurements({ measurements }: Eif): MeasurementTexts {
  const { pcr0, pcr1, pcr2, pcr8 } = measurements
  const shown = {
    PCR0: pcr0,
    PCR1: pcr1,
    PCR2: pcr2,
    ...(pcr8 === undefined ? {} : { PCR8: pcr8 }),
  }
  return Object.fromEntries(
    Object.entries(shown).map(([name, { pcr }]) => [name, Buffer.from(pcr).toString('hex')]),
  )
}

/**
 * Refuses another image than before: the restart rule was given for the first one.
 *
 * @throws `ERR_KEEPER_IMAGE_CHANGED`
 */
export function checkSameImage(eif: Eif, expected: MeasurementTexts): void {
  const found = shownMeasurements(eif)
  const names = new Set([...Object.keys(expected), ...Object.keys(found)])
  const changed = [...names].filter((pcr) => expected[pcr] !== found[pcr])
  if (changed.length === 0) return
  const message = `the image is another one than at the first start: ${changed.join(', ')} changed`
  throw new CloisterError('ERR_KEEPER_IMAGE_CHANGED', message, { details: { expected, found } })
}
