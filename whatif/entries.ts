// The rows behind a decision, in words.
import type { SideVerdict } from '../engine/index.ts'
import { describePortRanges } from './port-ranges.ts'

/** One row that was compared; the first of a list decides. */
export interface ComparedEntry {
  /** `every peer`, or the class of this one: `class 7`. */
  readonly peers: string
  /** Where the row decides: `80/TCP`, `all but 80/TCP`. */
  readonly ports: string
  readonly tier: 'admin' | 'normal' | 'baseline' | 'default'
  /** The higher decides. */
  readonly precedence: number
  readonly verdict: 'allowed' | 'denied' | 'audited'
  /** 0: no rule. */
  readonly rule: number
  readonly policy?: string
  readonly decides: boolean
}

/** By the two highest bits of a precedence, see engine/assembly/policies.ts. */
const TIERS = ['default', 'baseline', 'normal', 'admin'] as const

/** `textOf`: what a rule number stands for. */
export function comparedEntries(side: SideVerdict, textOf: (rule: number) => string | undefined): readonly ComparedEntry[] {
  const { compared = [], peerClass } = side
  return compared.map(({ peers, first, last, precedence, rule, decision }, index) => {
    const policy = textOf(rule)
    return {
      peers: peers === 'every' ? 'every peer' : `class ${peerClass}`,
      ports: describePortRanges([{ first, last }]),
      tier: TIERS[precedence >>> 30] ?? 'default',
      precedence,
      verdict: decision,
      rule,
      ...(policy !== undefined && { policy }),
      decides: index === 0,
    }
  })
}
