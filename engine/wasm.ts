// The exports of build/engine.wasm, as engine/assembly/index.ts declares them, and their results' numbers.

import { EngineError } from './errors.ts'
import type { Capacities } from './types.ts'

export interface EngineExports {
  readonly memory: WebAssembly.Memory
  start(): void
  configure(
    identities: number, labels: number, selectors: number, rules: number, addresses: number, endpoints: number,
    classes: number, policyEntries: number, policyRows: number, inputBytes: number,
  ): void
  begin(): void
  commit(): number
  rollback(): void
  failure(): number
  inputAddress(): number
  inputCapacity(): number
  takeJournal(): number
  journalRuns(): number
  verdictInput(): number
  verdictOutput(): number
  decide(protocol: number, port: number): void
  applySetIdentity(): number
  applyRemoveIdentity(): number
  applySetAddress(): number
  applyRemoveAddress(): number
  applySetEndpoint(): number
  applyRemoveEndpoint(): number
  applySetPolicy(): number
  applyRemovePolicy(): number
  applyRestoreGenerations(): number
  applyRestorePolicy(): number
  applyRestoreAddresses(map: number): number
  applyRestoreEndpoints(): number
  restoreLastSubject(number: number): void
  finishRestore(): void
  maglev(backends: number, slots: number): boolean
  maglevKeys(): number
  maglevWeights(): number
  maglevTable(): number
  weightedRoundRobin(backends: number, picks: number): boolean
  wrrWeights(): number
  wrrPicks(): number
  countClasses(): number
  countSubjects(): number
  countEntries(): number
  rowsUsed(): number
}

// In the order of `Subject` in engine/assembly/memory.ts.
const SUBJECTS = [
  'scratch', 'identities', 'labels', 'selectors', 'rules', 'addresses', 'endpoints', 'classes', 'policyEntries', 'policyRows',
  'journal', 'text',
] as const

const HINTS: Readonly<Record<string, string>> = {
  journal: '; take the changes more often, or split the transaction',
  scratch: '; split the policy: one subject has too many ranges or matches too many rules',
}

/** The error of a failure number: subject << 8 | code. `inUse`: how much of what may have run out. */
export function errorOf(failure: number, doing: string, inUse?: { readonly entries: number; readonly rows: number }): EngineError {
  const subject = SUBJECTS[failure >>> 8] ?? 'unknown'
  if ((failure & 0xff) === 1) return new EngineError('INVALID', `${doing}: invalid ${subject}`)
  const used = subject === 'policyEntries' ? inUse?.entries : subject === 'policyRows' ? inUse?.rows : undefined
  const more = `more ${inWords(subject)}${used === undefined ? '' : ` than the ${used} in use`}`
  const capacity = capacityOf(subject)
  return new EngineError('CAPACITY', `${doing}: no room for ${more}${HINTS[subject] ?? ''}`, capacity && { capacity })
}

const inWords = (subject: string): string => subject.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

/** The text is that of labels. */
function capacityOf(subject: string): keyof Capacities | undefined {
  if (subject === 'text') return 'labels'
  return subject in HINTS || subject === 'unknown' ? undefined : (subject as keyof Capacities)
}
