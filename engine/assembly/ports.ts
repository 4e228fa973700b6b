// Named ports of a workload: (name, protocol << 16 | port), sorted, interned. A name means to policy what the rules
// that use it make of it, so only names in use go into a class's signature or a subject's rule set.

import { get } from './memory'
import { clear, length, push, vector, words } from './pools'
import { internText, nameUses, releaseAtom } from './labels'
import { intern, references, release, sequenceLength, sequenceWord, Tag } from './sequences'
import { nextText, nextWord } from './input'

const MAX_NAMED_PORTS: u32 = 1024

let scratch: usize = 0

export function initializePorts(): void { scratch = vector(MAX_NAMED_PORTS * 2) }

/** Reads named ports from the input: a sequence with one more reference, 0 where there are none. */
export function readNamedPorts(): u32 {
  const count = nextWord()
  if (count == 0) return 0
  clear(scratch)
  for (let i: u32 = 0; i < count; i++) {
    push(scratch, internText(nextText()))
    push(scratch, nextWord())
  }
  sortPairs()
  const sequence = intern(Tag.NAMED_PORTS, words(scratch), length(scratch))
  if (references(sequence) > 1) for (let i: u32 = 0; i < length(scratch); i += 2) releaseAtom(get(words(scratch), i))
  return sequence
}

/** Insertion sort of pairs as 64-bit numbers: a workload has few named ports, and equal ones should intern as one. */
function sortPairs(): void {
  const base = words(scratch)
  for (let i: u32 = 1; i < length(scratch) / 2; i++) {
    const pair = load<u64>(base + (<usize>i << 3))
    let hole = i
    for (; hole > 0 && load<u64>(base + (<usize>(hole - 1) << 3)) > pair; hole--) {
      store<u64>(base + (<usize>hole << 3), load<u64>(base + (<usize>(hole - 1) << 3)))
    }
    store<u64>(base + (<usize>hole << 3), pair)
  }
}

export function releaseNamedPorts(sequence: u32): void {
  if (sequence == 0) return
  if (references(sequence) == 1) for (let i: u32 = 0; i < sequenceLength(sequence); i += 2) releaseAtom(sequenceWord(sequence, i))
  release(sequence)
}

/** Appends the pairs whose name some rule of this direction uses. */
export function appendUsedPorts(sequence: u32, direction: u32, out: usize): void {
  for (let i: u32 = 0; i < sequenceLength(sequence); i += 2) {
    if (get(nameUses, sequenceWord(sequence, i) << 1 | direction) == 0) continue
    push(out, sequenceWord(sequence, i))
    push(out, sequenceWord(sequence, i + 1))
  }
}
