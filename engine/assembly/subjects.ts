// Subjects: what endpoints with the same policies, and the same values for the named ports that ingress rules use,
// share. Their numbers grow and are never used twice. A subject whose last endpoint leaves is dying: its entries
// stay until the endpoints have flipped.

import { column, get, poke, put, reserve, set, Subject } from './memory'
import { clear, give, item, length, pool, push, take, truncate, used, vector, words } from './pools'
import {
  intern, release, sequenceLength, sequenceOwner, sequenceWord, sequenceWords, setSequenceOwner, Tag,
} from './sequences'
import { selectorPolicies } from './selectors'
import { nextPolicyOfSelector } from './policies'
import { appendUsedPorts } from './ports'
import { DIRECTION_INGRESS } from './records.generated'
import { sort } from './sort'

let subjects: usize = 0
let sequences: usize = 0 // words of ports << 1 | audit, ports, policies; 0: restored, its rules are not known
let endpointCounts: usize = 0
let lastNumber: usize = 0 // address of the word
let scratch: usize = 0

export let subjectNumber: usize = 0
export let subjectEntries: usize = 0 // first policy entry
export let subjectFresh: usize = 0 // made in this transaction
export let freshSubjects: usize = 0
export let dyingSubjects: usize = 0

export function initializeSubjects(capacity: u32, policyCapacity: u32): void {
  subjects = pool(capacity, Subject.ENDPOINTS)
  sequences = column(capacity)
  endpointCounts = column(capacity)
  lastNumber = reserve(4)
  subjectNumber = column(capacity)
  subjectEntries = column(capacity)
  subjectFresh = column(capacity)
  freshSubjects = vector(capacity)
  dyingSubjects = vector(capacity * 2)
  scratch = vector(policyCapacity + 4096)
}

@inline export function subjectsUsed(): u32 { return used(subjects) }
@inline export function subjectLives(subject: u32): bool { return get(endpointCounts, subject) != 0 }
@inline export function subjectPortWords(subject: u32): u32 {
  const sequence = get(sequences, subject)
  return sequence == 0 ? 0 : sequenceWord(sequence, 0) >>> 1
}
@inline export function subjectPorts(subject: u32): usize { return sequenceWords(get(sequences, subject)) + 4 }
@inline export function subjectPolicies(subject: u32): u32 {
  const sequence = get(sequences, subject)
  return sequence == 0 ? 0 : sequenceLength(sequence) - 1 - (sequenceWord(sequence, 0) >>> 1)
}
@inline export function subjectPolicy(subject: u32, index: u32): u32 {
  const sequence = get(sequences, subject)
  return sequenceWord(sequence, 1 + (sequenceWord(sequence, 0) >>> 1) + index)
}

/**
 * The subject of an endpoint that matches these selectors and has these named ports, with one more endpoint. Audit
 * mode of the endpoint is part of it: flows that passed by audit alone are decided again when it ends.
 */
export function joinSubject(selectorSet: u32, namedPorts: u32, audit: u32): u32 {
  const sequence = ruleSet(selectorSet, namedPorts, audit)
  const found = sequenceOwner(sequence)
  if (found != 0) {
    release(sequence)
    set(endpointCounts, found, get(endpointCounts, found) + 1)
    return found
  }
  return create(sequence)
}

function ruleSet(selectorSet: u32, namedPorts: u32, audit: u32): u32 {
  clear(scratch)
  push(scratch, 0)
  appendUsedPorts(namedPorts, DIRECTION_INGRESS, scratch)
  const ports = length(scratch) - 1
  store<u32>(words(scratch), ports << 1 | audit)
  for (let i: u32 = 0; i < sequenceLength(selectorSet); i++) {
    let policy = get(selectorPolicies, sequenceWord(selectorSet, i))
    for (; policy != 0; policy = nextPolicyOfSelector(policy)) push(scratch, policy)
  }
  const first = 1 + ports
  sort(words(scratch) + (<usize>first << 2), length(scratch) - first)
  return intern(Tag.SUBJECT, words(scratch), length(scratch))
}

function create(sequence: u32): u32 {
  const subject = take(subjects)
  put(lastNumber, load<u32>(lastNumber) + 1)
  set(subjectNumber, subject, load<u32>(lastNumber))
  set(sequences, subject, sequence)
  set(subjectEntries, subject, 0)
  set(endpointCounts, subject, 1)
  set(subjectFresh, subject, 1)
  setSequenceOwner(sequence, subject)
  push(freshSubjects, subject)
  return subject
}

@inline export function lastSubjectNumber(): u32 { return load<u32>(lastNumber) }

/** Numbers up to this one were given by an earlier engine. */
export function restoreLastSubject(number: u32): void {
  if (number > load<u32>(lastNumber)) put(lastNumber, number)
}

/** A subject that stands in the pinned maps under this number; one endpoint or none uses it. */
export function restoreSubject(number: u32): u32 {
  const subject = take(subjects)
  set(subjectNumber, subject, number)
  set(sequences, subject, 0)
  set(subjectEntries, subject, 0)
  set(endpointCounts, subject, 0)
  restoreLastSubject(number)
  return subject
}

export function useSubject(subject: u32): void { set(endpointCounts, subject, get(endpointCounts, subject) + 1) }

export function leaveSubject(subject: u32): void {
  if (subject == 0) return
  set(endpointCounts, subject, get(endpointCounts, subject) - 1)
  if (get(endpointCounts, subject) == 0) push(dyingSubjects, subject)
}

export function markDying(subject: u32): void { push(dyingSubjects, subject) }

/** Gives the content of a subject that lives to a fresh number: the owner of the rule set from now on is the new one. */
export function renumber(subject: u32): u32 {
  const sequence = get(sequences, subject)
  const count = get(endpointCounts, subject)
  set(sequences, subject, 0)
  set(endpointCounts, subject, 0)
  push(dyingSubjects, subject)
  const successor = create(sequence)
  set(endpointCounts, successor, count)
  return successor
}

/** Leaves each dying subject once in its list, and only those that really have no endpoint. */
export function settleDying(): void {
  let kept: u32 = 0
  for (let i: u32 = 0; i < length(dyingSubjects); i++) {
    const subject = item(dyingSubjects, i)
    if (get(endpointCounts, subject) != 0 || isListed(subject, kept)) continue
    poke(words(dyingSubjects), kept++, subject)
  }
  truncate(dyingSubjects, kept)
}

function isListed(subject: u32, count: u32): bool {
  for (let i: u32 = 0; i < count; i++) if (item(dyingSubjects, i) == subject) return true
  return false
}

/** After a transaction: dying subjects, whose entries are gone by now, give their record back. */
export function collectSubjects(): void {
  for (let i: u32 = 0; i < length(freshSubjects); i++) set(subjectFresh, item(freshSubjects, i), 0)
  for (let i: u32 = 0; i < length(dyingSubjects); i++) {
    const subject = item(dyingSubjects, i)
    release(get(sequences, subject))
    set(sequences, subject, 0)
    give(subjects, subject)
  }
}

export function clearSubjectScratch(): void {
  clear(freshSubjects)
  clear(dyingSubjects)
}
