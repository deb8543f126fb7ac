// One TPM command as bytes, and its response checked: header, handles, empty-password
// authorizations, parameters. TPM 2.0 Library, Part 1 section 18 "Command/Response Structure".

import { check, CloisterError } from '../../errors.ts'
import {
  commandCodes,
  type CommandName,
  TPM_RS_PW,
  TPM_ST_NO_SESSIONS,
  TPM_ST_SESSIONS,
} from './constants.ts'
import { concat, sized16, u16, u32, u8 } from './marshal.ts'
import { ResponseReader } from './response-reader.ts'

/** Sends one command's bytes and gives its response's bytes. */
export interface TpmChannel {
  transmit(command: Uint8Array): Promise<Uint8Array>
}

/** What a TPM command carries after its header. */
export interface CommandBody {
  readonly handles?: readonly number[]
  /** How many of the handles, from the first, are authorized (with the empty password). */
  readonly authorizations?: number
  /** Of the authorized handles, instead of the empty one. */
  readonly password?: Uint8Array
  readonly parameters?: Uint8Array
  /** Whether the response carries a handle before its parameters. */
  readonly returnsHandle?: boolean
}

/** What a successful response carries after its header. */
export interface CommandResult {
  /** 0 when the command returns none. */
  readonly handle: number
  readonly parameters: ResponseReader
}

const HEADER_BYTES = 10
const NO_PASSWORD = new Uint8Array(0)

/**
 * Executes one command.
 * @throws ERR_CHIP_TPM_RC with the TPM's response code in the details; ERR_CHIP_TPM_PROTOCOL;
 *   whatever the channel throws.
 */
export async function execute(
  channel: TpmChannel,
  name: CommandName,
  body: CommandBody = {},
): Promise<CommandResult> {
  const response = await channel.transmit(encodeCommand(name, body))
  return decodeResponse(name, response, body.returnsHandle ?? false)
}

/** The TPM's response code when `error` is a refusal by the TPM. */
export function responseCodeOf(error: unknown): number | undefined {
  const refused = error instanceof CloisterError && error.code === 'ERR_CHIP_TPM_RC'
  return refused ? Number(error.details['rc']) : undefined
}

function encodeCommand(name: CommandName, body: CommandBody): Uint8Array {
  const count = body.authorizations ?? 0
  // TPMS_AUTH_COMMAND with TPM_RS_PW: handle, empty nonce, no attributes, password.
  const password = sized16(body.password ?? NO_PASSWORD)
  const authorization = concat(u32(TPM_RS_PW), u16(0), u8(0), password)
  const area = concat(...Array.from({ length: count }, () => authorization))
  const rest = concat(
    ...(body.handles ?? []).map(u32),
    ...(count === 0 ? [] : [u32(area.length), area]),
    body.parameters ?? new Uint8Array(0),
  )
  const tag = count === 0 ? TPM_ST_NO_SESSIONS : TPM_ST_SESSIONS
  return concat(u16(tag), u32(HEADER_BYTES + rest.length), u32(commandCodes[name]), rest)
}

function decodeResponse(
  name: CommandName,
  response: Uint8Array,
  returnsHandle: boolean,
): CommandResult {
  const reader = new ResponseReader(response)
  const tag = reader.u16()
  reader.take(4) // responseSize, checked by the transport
  const rc = reader.u32()
  check(rc === 0, 'ERR_CHIP_TPM_RC', `TPM2_${name} was refused with 0x${rc.toString(16)}`, {
    details: { command: name, rc },
  })
  const handle = returnsHandle ? reader.u32() : 0
  const parameters = tag === TPM_ST_SESSIONS ? reader.take(reader.u32()) : reader.rest()
  return { handle, parameters: new ResponseReader(parameters) }
}
