// Runs a tool of the container world (skopeo, buildah) and reports its failure in its own words. The
// tool and what it starts end with this process, however that ends; what it prints goes nowhere else.

import { spawn, type ChildProcess } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'

import { CloisterError, reasonOf, type ErrorCode } from '../../errors.ts'

export interface Tool {
  readonly name: 'skopeo' | 'buildah'
  /** The code of the error when the tool ran and failed. */
  readonly failure: ErrorCode
  readonly env?: NodeJS.ProcessEnv
  /** What to do about a failure, by the tool's last words; by default what its code says. */
  readonly advise?: (words: string) => string | undefined
}

/** What is kept of the tool's last words. */
const MAX_WORDS_BYTES = 8 * 1024

/**
 * The kernel tells the shell when its parent has died (setpriv(1) of util-linux, prctl(2)
 * PR_SET_PDEATHSIG), and the shell its whole process group. A parent that died before that is noticed by
 * its pid.
 */
const UNTIL_ORPHANED = `[ "$PPID" = "$0" ] || exit 1
trap 'trap "" TERM; kill -TERM 0; wait; exit 143' TERM
"$@" & wait $!`

/**
 * Runs the tool to its end.
 * @throws ERR_IMAGE_TOOL_MISSING, and the tool's `failure` with its last words
 */
export async function runTool(tool: Tool, args: readonly string[]): Promise<void> {
  const env = tool.env ?? process.env
  if (!isInPath(tool.name, env)) throw missingTool(tool.name)
  const shell = ['/bin/sh', '-c', UNTIL_ORPHANED, String(process.pid)]
  const child = spawn('setpriv', ['--pdeathsig=TERM', '--', ...shell, tool.name, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
    detached: true,
  })
  const kill = (): void => {
    killGroup(child)
  }
  process.once('exit', kill)
  try {
    const words = lastWords(child)
    const status = await ended(child, tool)
    if (status === 0) return
    const said = words()
    const hint = tool.advise?.(said)
    throw new CloisterError(
      tool.failure,
      `${tool.name} failed:\n${foreignLines(tool.name, said)}`,
      {
        details: { tool: tool.name, status },
        ...(hint !== undefined && { hint }),
      },
    )
  } finally {
    process.off('exit', kill)
  }
}

function ended(child: ChildProcess, { name, failure }: Tool): Promise<number | string> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      reject(new CloisterError(failure, `cannot start ${name}: ${reasonOf(cause)}`, { cause }))
    })
    child.once('close', (code, signal) => {
      resolve(code ?? signal ?? 'unknown')
    })
  })
}

function isInPath(name: string, { PATH = '' }: NodeJS.ProcessEnv): boolean {
  return PATH.split(':').some((directory) => isExecutable(join(directory, name)))
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function missingTool(name: Tool['name']): CloisterError {
  return new CloisterError('ERR_IMAGE_TOOL_MISSING', `${name} is not installed`, {
    details: { tool: name },
    hint: `Install it: \`apt-get install ${name}\` on Debian and Ubuntu, \`dnf install ${name}\` on Fedora and Amazon Linux.`,
  })
}

/** Keeps the end of what the tool prints; the rest is read and dropped, so that it never waits. */
function lastWords(child: ChildProcess): () => string {
  let kept: Buffer = Buffer.alloc(0)
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      kept = Buffer.concat([kept, chunk]).subarray(-MAX_WORDS_BYTES)
    })
  }
  return () => kept.toString('utf8')
}

/** Every line with the tool's name before it: its words must not pass for ours. */
function foreignLines(name: string, words: string): string {
  const lines = words
    .trim()
    .split(/[\r\n]+/)
    .slice(-8)
  return lines.map((line) => `${name}: ${line}`).join('\n')
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGTERM')
  } catch {
    // It has ended.
  }
}
