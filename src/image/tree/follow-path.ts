// Follows a path through a tree as the kernel does with the tree as its root: symbolic links on the
// way are followed, absolute ones from the tree's root. A link that climbs above the root is an
// error: tools disagree on what it means.

import type { ByteName } from './byte-name.ts'
import {
  MAX_DEPTH,
  checkPath,
  directory,
  type Directory,
  type Symlink,
  type TreeNode,
} from './tree.ts'
import type { UnpackBudget } from './unpack-budget.ts'

/** A directory that was reached, and the names that lead to it without any link. */
export interface Place {
  readonly directory: Directory
  readonly trail: readonly Step[]
}

/** A name in a directory of the tree. */
export interface Step {
  readonly parent: Directory
  readonly name: ByteName
}

/** As Linux: more links on one path are a loop. */
const MAX_LINKS = 40

/**
 * The directory that `names` lead to; undefined when something on the way is missing or not a
 * directory.
 * @throws ERR_IMAGE_PATH when a link leads out of the tree or in a loop
 */
export function findDirectory(
  root: Directory,
  names: readonly ByteName[],
  budget: UnpackBudget,
): Place | undefined {
  return new Walk(root, names, budget).run(() => undefined)
}

/**
 * The directory that `names` lead to; what is missing is made, 0755 and root's.
 * @throws ERR_IMAGE_PATH when the path leads through a file, out of the tree or in a circle
 */
export function makeDirectory(
  root: Directory,
  names: readonly ByteName[],
  budget: UnpackBudget,
): Place {
  const place = new Walk(root, names, budget).run((existing, length) => {
    if (existing !== undefined) checkPath(false, names.join('/'), 'leads through a file')
    budget.takeEntry()
    budget.takeMetadata(length)
    return directory()
  })
  if (place === undefined) checkPath(false, names.join('/'), 'leads nowhere')
  return place
}

/** What a path leads to, when its last name is a symbolic link too; undefined when it is missing. */
export function findTarget(
  root: Directory,
  names: readonly ByteName[],
  budget: UnpackBudget,
): TreeNode | undefined {
  let path = names
  for (let links = 0; links <= MAX_LINKS; links++) {
    const place = findDirectory(root, path.slice(0, -1), budget)
    const node = place?.directory.entries.get(path.at(-1) ?? '')
    if (place === undefined || node?.kind !== 'symlink') return node
    const above = node.target.startsWith('/') ? [] : place.trail.map(({ name }) => name)
    path = [...above, ...splitTarget(node)]
  }
  return undefined
}

/** The names in a link's target, which is split once however often it is followed. */
const targets = new WeakMap<Symlink, readonly ByteName[]>()

function splitTarget(link: Symlink): readonly ByteName[] {
  const known = targets.get(link)
  if (known !== undefined) return known
  const names = link.target.split('/').filter((name) => name !== '' && name !== '.')
  targets.set(link, names)
  return names
}

/** Makes the directory that is not there; undefined ends the walk. */
type Make = (existing: TreeNode | undefined, pathBytes: number) => Directory | undefined

class Walk {
  readonly #root: Directory
  readonly #path: readonly ByteName[]
  readonly #budget: UnpackBudget
  /** What is still to be followed, the next name last. */
  readonly #pending: ByteName[]
  #trail: Step[] = []
  #pathBytes = 0
  #links = 0

  constructor(root: Directory, names: readonly ByteName[], budget: UnpackBudget) {
    this.#root = root
    this.#path = names
    this.#budget = budget
    this.#pending = names.toReversed()
  }

  run(make: Make): Place | undefined {
    let current = this.#root
    for (let name = this.#pending.pop(); name !== undefined; name = this.#pending.pop()) {
      this.#budget.takeSteps(1)
      if (name === '..') {
        current = this.#climb()
        continue
      }
      let node = current.entries.get(name)
      if (node?.kind === 'symlink') {
        current = this.#follow(node, current)
        continue
      }
      if (node?.kind !== 'directory') {
        node = make(node, this.#pathBytes + name.length)
        if (node === undefined) return undefined
        current.entries.set(name, node)
      }
      this.#descend(current, name)
      current = node
    }
    return { directory: current, trail: this.#trail }
  }

  #descend(parent: Directory, name: ByteName): void {
    this.#trail.push({ parent, name })
    this.#pathBytes += name.length + 1
    this.#check(this.#trail.length <= MAX_DEPTH, 'is too deep')
  }

  #climb(): Directory {
    const step = this.#trail.pop()
    this.#check(step !== undefined, 'leads out of the image through a symbolic link')
    this.#pathBytes -= step.name.length + 1
    return step.parent
  }

  #follow(link: Symlink, current: Directory): Directory {
    const { target } = link
    const names = splitTarget(link)
    this.#links += 1
    this.#budget.takeSteps(1 + names.length)
    this.#check(this.#links <= MAX_LINKS, 'leads through too many symbolic links')
    this.#pending.push(...names.toReversed())
    if (!target.startsWith('/')) return current
    this.#trail = []
    this.#pathBytes = 0
    return this.#root
  }

  #check(condition: boolean, problem: string): asserts condition {
    if (!condition) checkPath(false, this.#path.join('/'), problem)
  }
}
