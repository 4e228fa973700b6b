// Figures from repeated runs. Other work on the machine only ever adds time, so the least of several runs is the one
// nearest to the program's own cost; program and baseline alternate, so that both meet the same disturbances.

export interface Figures {
  /** Nanoseconds a packet of the program alone. */
  readonly ns: number
  /** Of the wrapper around a program that returns at once. */
  readonly baselineNs: number
}

export interface Measurement extends Figures {
  readonly case: string
  readonly flows: number
}

/** Both functions give nanoseconds a packet. */
export function measure(rounds: number, baseline: () => number, program: () => number): Figures {
  const runs = Array.from({ length: rounds }, () => [baseline(), program()] as const)
  const least = (column: 0 | 1): number => Math.min(...runs.map((run) => run[column]))
  return { ns: least(1) - least(0), baselineNs: least(0) }
}
