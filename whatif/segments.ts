// Decisions over the space of all protocols and ports, `protocol << 16 | port` (ICMP: type and code as the port), as
// the stretches in which they do not change. Nothing is sampled: two lists are compared at every boundary of either.

export interface Segment<T> {
  readonly first: number
  readonly last: number
  readonly value: T
}

/** Ascending, without gaps, from 0 to LAST_KEY. */
export type Segments<T> = readonly Segment<T>[]

export const LAST_KEY = 0xff_ffff

export const everywhere = <T>(value: T): Segments<T> => [{ first: 0, last: LAST_KEY, value }]

/** What two lists say together, joined where `combine` gives the same value (by identity) for neighbours. */
export function zip<A, B, R>(a: Segments<A>, b: Segments<B>, combine: (a: A, b: B) => R): Segments<R> {
  const joined: { first: number; last: number; value: R }[] = []
  for (let i = 0, j = 0; ; ) {
    const [left, right] = [a[i], b[j]]
    if (left === undefined || right === undefined) return joined
    const [first, last] = [Math.max(left.first, right.first), Math.min(left.last, right.last)]
    append(joined, first, last, combine(left.value, right.value))
    if (left.last === last) i++
    if (right.last === last) j++
  }
}

function append<R>(list: { first: number; last: number; value: R }[], first: number, last: number, value: R): void {
  const previous = list.at(-1)
  if (previous?.value === value) previous.last = last
  else list.push({ first, last, value })
}

/** The part of a list between two keys, both included. */
export function within<T>(segments: Segments<T>, first: number, last: number): Segments<T> {
  return segments
    .filter((segment) => segment.first <= last && segment.last >= first)
    .map((segment) => ({ ...segment, first: Math.max(segment.first, first), last: Math.min(segment.last, last) }))
}
