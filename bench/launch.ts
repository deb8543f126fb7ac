// Launch to heartbeat beside the same QEMU bare: on this machine, and under KVM in the lab's host. There
// only the ratio says something, because both are emulated.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { Lab } from '../test/lab/lab.ts'
import { buildHello } from './hello-image.ts'
import { BOOT, measureLaunch, type LaunchTimes } from './launch-rounds.ts'
import { median, type BenchRow } from './row.ts'

const ROUNDS = 7
const LAB_ROUNDS = 3
const LAB_TIMEOUT_MS = 1_200_000

export async function run(): Promise<readonly BenchRow[]> {
  const scratch = mkdtempSync(join(tmpdir(), 'cloister-bench-'))
  try {
    const eifPath = join(scratch, 'hello.eif')
    await buildHello(eifPath)
    const here = await measureLaunch(eifPath, ROUNDS)
    const lab = await measureInLab(scratch)
    return [
      toHeartbeat('launch to heartbeat (at most 1.25)', here),
      outside('of that outside the guest (idle machine: at most 250 ms)', here),
      toHeartbeat('launch to heartbeat, KVM in the lab', lab),
      outside('of that outside the guest (Node.js is emulated there)', lab),
    ]
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function toHeartbeat(claim: string, { ours, bare }: LaunchTimes): BenchRow {
  const [a, b] = [median(ours.map((it) => it.heartbeatMs)), median(bare)]
  const peer = `same QEMU bare: ${b.toFixed(0)} ms`
  return { claim, ours: `${a.toFixed(0)} ms`, peer, ratio: a / b }
}

/** Steps may overlap, so they add up to more. The ratio is the share of the launch. */
function outside(claim: string, { ours }: LaunchTimes): BenchRow {
  const took = (step: string): number => median(ours.map((it) => it.steps[step] ?? NaN))
  const others = Object.keys(ours[0]?.steps ?? {}).filter((step) => step !== BOOT)
  const ms = median(ours.map((it) => it.heartbeatMs - (it.steps[BOOT] ?? NaN)))
  const heartbeatMs = median(ours.map((it) => it.heartbeatMs))
  const peer = others.map((step) => `${step} ${took(step).toFixed(0)}`).join(', ')
  return { claim, ours: `${ms.toFixed(0)} ms`, peer, ratio: ms / heartbeatMs }
}

/** The lab's host has the built checkout and no compiler: the rounds come as JavaScript. */
async function measureInLab(files: string): Promise<LaunchTimes> {
  for (const name of ['launch-rounds', 'bare-machine'])
    writeFileSync(join(files, `${name}.mjs`), asJavaScript(name))
  await using lab = await Lab.start({ files })
  const call = `import { measureLaunch } from '/files/launch-rounds.mjs'
    console.log(JSON.stringify(await measureLaunch('/files/hello.eif', ${String(LAB_ROUNDS)})))`
  const script = 'cd /cloister && exec node --input-type=module --eval "$1"'
  const argv = ['bash', '-c', script, 'bash', call]
  const { status, stdout, stderr } = await lab.run(argv, { timeoutMs: LAB_TIMEOUT_MS })
  if (status !== 0) throw new Error(`the launches in the lab failed: ${stderr}`)
  return JSON.parse(stdout) as LaunchTimes
}

function asJavaScript(name: string): string {
  const source = readFileSync(join(import.meta.dirname, `${name}.ts`), 'utf8')
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext }
  const { outputText } = ts.transpileModule(source, { compilerOptions })
  return outputText
    .replaceAll(/'\.\.\/src\/(.*)\.ts'/g, "'/cloister/dist/$1.js'")
    .replaceAll("'../dist/", "'/cloister/dist/")
    .replaceAll(/'(\.\/.*)\.ts'/g, "'$1.mjs'")
}
