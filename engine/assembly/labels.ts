// Labels are interned as atoms: what a selector can ask about. `k8s:app=web` gives four: the pair and the key, each
// under its own source and under `any`. An identity is the set of its atoms; a requirement asks whether one of a
// list of atoms is in it.

import { column, fail, Failure, get, reserve, set, Subject } from './memory'
import { give, pool, take } from './pools'
import { intern, release, sequenceOwner, setSequenceOwner, Tag } from './sequences'

const COLON: u32 = 0x3a
const EQUALS: u32 = 0x3d
const MAX_TEXT_BYTES: u32 = 65536

let atoms: usize = 0
let sequences: usize = 0
let text: usize = 0 // scratch: byte length, then bytes

export let atomPivots: usize = 0 // first pivot of selectors.ts
export let atomMark: usize = 0 // scratch: the stamp of the identity last looked at
export let atomTouched: usize = 0 // scratch: the stamp of the last transaction that touched one of its pivots
export let nameUses: usize = 0 // of atoms that are port names: rules that use them, by atom << 1 | direction

export function initializeLabels(capacity: u32): void {
  atoms = pool(capacity, Subject.LABELS)
  sequences = column(capacity)
  atomPivots = column(capacity)
  atomMark = column(capacity)
  atomTouched = column(capacity)
  nameUses = column(capacity * 2 + 1)
  text = reserve(4 + MAX_TEXT_BYTES + 8)
}

/** The atom of a text, with one more reference; 0 after a failure. */
export function internText(at: usize, bytes: u32): u32 {
  if (!loadText(0, at, bytes)) return 0
  return internLoaded(bytes)
}

function internAny(at: usize, bytes: u32): u32 {
  store<u32>(text + 4, 0x3a796e61) // "any:"
  if (!loadText(4, at, bytes)) return 0
  return internLoaded(bytes + 4)
}

function loadText(offset: u32, at: usize, bytes: u32): bool {
  if (offset + bytes > MAX_TEXT_BYTES) {
    fail(Failure.INVALID, Subject.LABELS)
    return false
  }
  memory.copy(text + 4 + offset, at, bytes)
  store<u32>(text + 4 + offset + bytes, 0)
  return true
}

function internLoaded(bytes: u32): u32 {
  store<u32>(text, bytes)
  const sequence = intern(Tag.TEXT, text, 1 + (bytes + 3) / 4)
  let atom = sequenceOwner(sequence)
  if (atom == 0 && sequence != 0) {
    atom = take(atoms)
    set(sequences, atom, sequence)
    setSequenceOwner(sequence, atom)
    set(atomPivots, atom, 0)
  }
  return atom
}

export function releaseAtom(atom: u32): void {
  if (atom != 0 && release(get(sequences, atom))) give(atoms, atom)
}

/** Interns the four atoms of `source:key=value` to `out`; a label without `=` has the empty value. */
export function internLabel(at: usize, bytes: u32, out: usize): bool {
  const colon = position(at, bytes, COLON, 0)
  if (colon == 0 || colon >= bytes) {
    fail(Failure.INVALID, Subject.LABELS)
    return false
  }
  const equals = position(at, bytes, EQUALS, colon)
  store<u32>(out, internText(at, equals))
  store<u32>(out + 4, internAny(at + colon + 1, equals - colon - 1))
  if (equals == bytes) store<u8>(at + bytes, EQUALS) // where its terminator stood: it has been read
  const pair = max(bytes, equals + 1)
  store<u32>(out + 8, internText(at, pair))
  store<u32>(out + 12, internAny(at + colon + 1, pair - colon - 1))
  return true
}

function position(at: usize, bytes: u32, byte: u32, from: u32): u32 {
  let i = from
  while (i < bytes && load<u8>(at + i) != byte) i++
  return i
}
