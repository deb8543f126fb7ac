// cloister pcr: the PCR that a file, a certificate or an image gives.

import { Command, Option } from 'commander'

import { CloisterError } from '../errors.ts'
import {
  measureBytes,
  measureIdentity,
  measureStream,
  parseSigningCertificate,
} from '../eif/index.ts'
import { readConfigData } from '../enclaves/index.ts'
import { openInputFile } from '../files/index.ts'
import { readFileArgument } from './arguments.ts'
import { hex, measurementsJson } from './measurements-json.ts'
import { readEifFile } from './open-eif.ts'
import { printJson } from './print.ts'

interface Flags {
  readonly input?: string
  readonly signingCertificate?: string
  readonly eif?: string
  readonly role?: string
  readonly instanceId?: string
  readonly configData?: string
}

const EXAMPLE = `
Examples:
  cloister pcr --eif hello.eif
  cloister pcr --signing-certificate signer.pem
  cloister pcr --role arn:aws:iam::123456789012:role/Webserver
  cloister pcr --config-data settings.json`

export function pcrCommand(): Command {
  const sources = ['input', 'signingCertificate', 'eif', 'role', 'instanceId', 'configData']
  const option = (flags: string, text: string, name: string): Option =>
    new Option(flags, text).conflicts(sources.filter((other) => other !== name))
  return new Command('pcr')
    .addOption(option('--input <file>', 'PCR of a file', 'input'))
    .addOption(
      option('--signing-certificate <pem>', 'PCR8 of images signed with it', 'signingCertificate'),
    )
    .addOption(option('--eif <file>', 'PCR0, PCR1, PCR2 (and PCR8) of an enclave image', 'eif'))
    .addOption(option('--role <arn>', 'PCR3 of an IAM role', 'role'))
    .addOption(option('--instance-id <id>', 'PCR4 of a host', 'instanceId'))
    .addOption(
      option('--config-data <path>', 'PCR16 of what run-enclave --config-data gives', 'configData'),
    )
    .addHelpText('after', EXAMPLE)
    .action(async (flags: Flags) => {
      printJson(await measure(flags))
    })
}

async function measure(flags: Flags): Promise<object> {
  const { input, signingCertificate, eif, role, instanceId, configData } = flags
  if (eif !== undefined) {
    return { Measurements: measurementsJson((await readEifFile(eif)).measurements) }
  }
  if (signingCertificate !== undefined) return { PCR8: measureCertificate(signingCertificate) }
  if (role !== undefined) return { PCR3: hex(measureIdentity(role)) }
  if (instanceId !== undefined) return { PCR4: hex(measureIdentity(instanceId)) }
  if (configData !== undefined) return { PCR16: hex(readConfigData(configData).pcr16) }
  if (input !== undefined) return { PCR: await measureFile(input) }
  throw new CloisterError(
    'ERR_CLI_ARGUMENT',
    'give --input, --signing-certificate, --eif, --role, --instance-id or --config-data',
  )
}

async function measureFile(path: string): Promise<string> {
  await using file = await openInputFile(path, 'ERR_FILE_INPUT')
  return hex((await measureStream(file.chunks())).pcr)
}

/** The first certificate of the file counts, as in an image's signature. */
function measureCertificate(path: string): string {
  const pem = readFileArgument('--signing-certificate', path)
  return hex(measureBytes(parseSigningCertificate(pem).der).pcr)
}
