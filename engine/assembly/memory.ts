// Linear memory: arenas reserved once from the capacities, columns of 32-bit words in them, and the undo log that
// makes a transaction all or nothing.
//
// Internal tables are stored as columns (one array a field), addressed by index; index 0 is "none" everywhere, so
// that a zeroed arena is a valid empty table and code that ran out of room may go on writing to record 0 until the
// transaction is rolled back. Records that leave the engine have the layout of bpf/types.h instead.

export namespace Failure {
  export const NONE: u32 = 0
  export const INVALID: u32 = 1
  export const CAPACITY: u32 = 2
}

/** What ran out or was invalid; the host turns it into a message. */
export namespace Subject {
  export const IDENTITIES: u32 = 1
  export const LABELS: u32 = 2
  export const SELECTORS: u32 = 3
  export const RULES: u32 = 4
  export const ADDRESSES: u32 = 5
  export const ENDPOINTS: u32 = 6
  export const CLASSES: u32 = 7
  export const POLICY_ENTRIES: u32 = 8
  export const POLICY_ROWS: u32 = 9
  export const JOURNAL: u32 = 10
  export const TEXT: u32 = 11
}

const PAGE: usize = 65536
const UNDO_GROWTH_PAGES: i32 = 64

let top: usize = 0
let undoBase: usize = 0
let undoTop: usize = 0
let undoEnd: usize = 0
let failureCode: u32 = 0
let failureSubject: u32 = 0

/** The first failure of a transaction is the one that is reported. */
export function fail(code: u32, subject: u32): void {
  if (failureCode != Failure.NONE) return
  failureCode = code
  failureSubject = subject
}

@inline export function failed(): bool { return failureCode != Failure.NONE }
export function failure(): u32 { return failureSubject << 8 | failureCode }

/** Zeroed memory that is never given back. Only used before `sealArenas`. */
export function reserve(bytes: usize): usize {
  if (top == 0) top = __heap_base
  const address = (top + 7) & ~7
  top = address + bytes
  growTo(top)
  return address
}

/** A column of `count` words and the unused word 0. */
export function column(count: u32): usize { return reserve((<usize>count + 1) << 2) }

/** All arenas stand; what follows them is the undo log, the only part that grows. */
export function sealArenas(): void {
  undoBase = (top + 7) & ~7
  undoTop = undoBase
  undoEnd = <usize>memory.size() * PAGE
}

function growTo(end: usize): void {
  const pages = <i32>((end + PAGE - 1) / PAGE) - memory.size()
  if (pages > 0 && memory.grow(pages) < 0) unreachable()
}

@inline export function get(columnBase: usize, index: u32): u32 { return load<u32>(columnBase + (<usize>index << 2)) }
@inline export function set(columnBase: usize, index: u32, value: u32): void { put(columnBase + (<usize>index << 2), value) }

/** A store that no rollback undoes: scratch of one transaction, and memory that nothing refers to yet. */
@inline export function poke(base: usize, index: u32, value: u32): void { store<u32>(base + (<usize>index << 2), value) }

/** A store that `rollback` undoes. State that outlives a transaction is only ever written so. */
export function put(address: usize, value: u32): void {
  const old = load<u32>(address)
  if (old == value) return
  if (undoTop + 8 > undoEnd) growUndoLog()
  store<u32>(undoTop, <u32>address)
  store<u32>(undoTop + 4, old)
  undoTop += 8
  store<u32>(address, value)
}

function growUndoLog(): void {
  if (memory.grow(UNDO_GROWTH_PAGES) < 0) unreachable()
  undoEnd = <usize>memory.size() * PAGE
}

export function beginUndo(): void {
  undoTop = undoBase
  failureCode = Failure.NONE
  failureSubject = 0
}

/** Puts back every word that changed since `beginUndo`, the last change first. */
export function rollbackUndo(): void {
  while (undoTop > undoBase) {
    undoTop -= 8
    store<u32>(<usize>load<u32>(undoTop), load<u32>(undoTop + 4))
  }
}
