// Random bytes from the TPM. TPM 2.0 Library, Part 3 section 16.1.

import { check } from '../../errors.ts'
import { execute, type TpmChannel } from './command.ts'
import { concat, u16 } from './marshal.ts'

/**
 * Asks until all are there: a TPM returns at most one digest's length at a time.
 * @throws ERR_CHIP_TPM_PROTOCOL when it returns none, or more than asked for.
 */
export async function getRandom(channel: TpmChannel, length: number): Promise<Uint8Array> {
  let random: Uint8Array = new Uint8Array(0)
  while (random.length < length) {
    const wanted = length - random.length
    const { parameters } = await execute(channel, 'GetRandom', { parameters: u16(wanted) })
    const some = parameters.sized16()
    const fits = some.length > 0 && some.length <= wanted
    check(fits, 'ERR_CHIP_TPM_PROTOCOL', 'GetRandom: length', { details: { got: some.length } })
    random = concat(random, some)
  }
  return random
}
