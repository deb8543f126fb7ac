// Two starts side by side.

/**
 * Waits for both, also when one of them fails: nothing is still starting when the failure is told.
 *
 * @throws The first one's failure, or the second one's.
 */
export async function together<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second])
  return Promise.all([first, second])
}
