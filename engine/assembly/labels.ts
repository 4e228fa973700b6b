// Labels are interned as atoms: what a selector can ask about. `k8s:app=web` is an atom, and has three parts that are
// atoms too: its key, and pair and key under the source `any`. An identity has the atoms of its labels and their
// parts; a requirement asks whether one of a list of atoms is among them.

import { column, fail, Failure, get, reserve, set, Subject } from './memory'
import { give, pool, take, used } from './pools'
import { textBytes, textWords } from './input'
import { intern, release, sequenceOwner, sequenceWords, setSequenceOwner, Tag } from './sequences'

const COLON: u32 = 0x3a
const EQUALS: u32 = 0x3d
const ANY: u32 = 0x3a796e61 // "any:"
const MAX_TEXT_BYTES: u32 = 65536

let atoms: usize = 0
let sequences: usize = 0
let scratch: usize = 0 // a text

export let labelKey: usize = 0 // 0: the atom is no label
export let labelAnyKey: usize = 0
export let labelAnyPair: usize = 0
export let atomPivots: usize = 0 // first pivot of pivots.ts
export let atomTouched: usize = 0 // scratch: the stamp of the last transaction that touched one of its pivots
export let nameUses: usize = 0 // of atoms that are port names: rules that use them, by atom << 1 | direction

export function initializeLabels(capacity: u32): void {
  atoms = pool(capacity, Subject.LABELS)
  sequences = column(capacity)
  labelKey = column(capacity)
  labelAnyKey = column(capacity)
  labelAnyPair = column(capacity)
  atomPivots = column(capacity)
  atomTouched = column(capacity)
  nameUses = column(capacity * 2 + 1)
  scratch = reserve(4 + MAX_TEXT_BYTES + 8)
}

@inline export function atomsUsed(): u32 { return used(atoms) }

/** The atom of a text, with one more reference; 0 after a failure. */
export function internText(text: usize): u32 {
  const sequence = intern(Tag.TEXT, text, textWords(text))
  let atom = sequenceOwner(sequence)
  if (atom == 0 && sequence != 0) {
    atom = take(atoms)
    set(sequences, atom, sequence)
    setSequenceOwner(sequence, atom)
    set(labelKey, atom, 0)
    set(atomPivots, atom, 0)
  }
  return atom
}

export function releaseAtom(atom: u32): void {
  if (atom == 0 || !release(get(sequences, atom))) return
  if (get(labelKey, atom) != 0) releaseParts(atom)
  give(atoms, atom)
}

/** The atom of `source:key=value`, with one more reference; a label without `=` has the empty value. 0 after a failure. */
export function internLabel(text: usize): u32 {
  const label = internText(text)
  if (label == 0 || get(labelKey, label) != 0) return label
  const bytes = textBytes(text)
  const colon = position(text, COLON, 0)
  const equals = position(text, EQUALS, colon)
  if (colon == 0 || colon == bytes || bytes >= MAX_TEXT_BYTES) {
    fail(Failure.INVALID, Subject.LABELS)
    return 0
  }
  if (equals < bytes) {
    internParts(label, text, colon, equals)
    return label
  }
  copyText(0, text + 4, bytes)
  store<u32>(scratch, bytes + 1)
  store<u8>(scratch + 4 + bytes, EQUALS)
  releaseAtom(label)
  return internLabel(scratch)
}

function position(text: usize, byte: u32, from: u32): u32 {
  const bytes = textBytes(text)
  let i = from
  while (i < bytes && load<u8>(text + 4 + i) != byte) i++
  return i
}

/** `text` may be the scratch text: what follows is read from the label's own. A part of `any` that is the label itself is not counted. */
function internParts(label: u32, text: usize, colon: u32, equals: u32): void {
  const bytes = textBytes(text)
  const at = sequenceWords(get(sequences, label)) + 4
  set(labelKey, label, internPart(0, at, equals))
  set(labelAnyKey, label, internPart(ANY, at + colon + 1, equals - colon - 1))
  const pair = internPart(ANY, at + colon + 1, bytes - colon - 1)
  set(labelAnyPair, label, pair)
  if (pair == label) releaseAtom(label)
}

function releaseParts(label: u32): void {
  releaseAtom(get(labelKey, label))
  releaseAtom(get(labelAnyKey, label))
  if (get(labelAnyPair, label) != label) releaseAtom(get(labelAnyPair, label))
}

/** The atom of the bytes behind `prefix`, four characters or 0 for none. */
function internPart(prefix: u32, at: usize, bytes: u32): u32 {
  const offset: u32 = prefix == 0 ? 0 : 4
  copyText(offset, at, bytes)
  if (prefix != 0) store<u32>(scratch + 4, prefix)
  store<u32>(scratch, offset + bytes)
  return internText(scratch)
}

/** Copies bytes to the scratch text, zeros behind them. */
function copyText(offset: u32, at: usize, bytes: u32): void {
  memory.copy(scratch + 4 + offset, at, bytes)
  store<u32>(scratch + 4 + offset + bytes, 0)
}
