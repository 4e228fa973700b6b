// Objects that the kernel refused, or that are not there.
import type { RefusedObject } from './kernel.ts'

export interface Refusal {
  readonly objects: readonly string[]
  readonly message: string
}

/** One fault often keeps every object from being loaded: what differs by the object's name alone is told once. */
export function groupRefusals(refused: readonly RefusedObject[]): Refusal[] {
  const faults = Map.groupBy(refused, ({ object, message }) => message.replaceAll(object, ''))
  return [...faults.values()].map((same) => ({ objects: same.map(({ object }) => object), message: same[0]?.message ?? '' }))
}

/** All of them in a line. */
export function formatRefusals(refused: readonly RefusedObject[]): string {
  const told = groupRefusals(refused).map(({ objects: [, ...others], message }) =>
    others.length === 0 ? message : `${message} (likewise ${others.join(', ')})`,
  )
  return told.join('; ')
}
