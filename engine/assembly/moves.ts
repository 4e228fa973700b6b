// The first half of a commit: which entries of the address table change their class, and to which one.
//
// A move is (class before, signature after) with all entries that make it. A policy change moves entries and flips
// endpoints from one subject to another, by separate writes, yet no packet may see a mixture. So a class that
// entries move to holds, for a subject that is dying, the span which that subject had for the class before: until
// the flip nothing changes for its endpoints. Two moves of one signature from classes that a dying subject tells
// apart therefore get a class each (twins), which publish.ts merges after the flip. Subjects that go on see the new
// signature at once: for their endpoints the write of the address is the change.

import { column, get, poke } from './memory'
import { clear, item, length, push, vector } from './pools'
import { release, sequenceLength, sequenceWord } from './sequences'
import {
  adoptDefinition, coveringEntry, definingEntry, dirtyEntries, entryClass, entryFlags, entryIdentity, entryMap,
  EntryMap, entryMove, entryNamedPorts, entryNode, entryPlain, entryWanted, Plain,
} from './addresses'
import { matchCidrs } from './cidrs'
import {
  adoptSignature, classesUsed, classOf, classSignature, classSize, classTwin, createClass, internSignature,
} from './classes'
import { identitySelectors } from './identities'
import { membershipRule, nextMembership, termIsDead, termIsFresh, termMemberships } from './terms'
import { policyMark, rulePolicy } from './policies'
import { addEntry, spanOf } from './entries'
import { PEER_WORKLOAD } from './records.generated'
import { retainSpan } from './rows'
import { dyingSubjects, renumber, subjectFresh, subjectLives, subjectPolicies, subjectPolicy } from './subjects'
import { dirtyEndpoints, endpointLeft, endpointSubject, endpointsUsed, markEndpoint, setSubject } from './endpoints'

const BUCKETS: u32 = 4096
/** entryMove of an entry whose class stays. */
export const NO_MOVE: u32 = 0

let moveSignature: usize = 0
let moveLeavers: usize = 0 // entries that were in the class before
let moveNext: usize = 0
let buckets: usize = 0
let moveCount: u32 = 0
let leavers: usize = 0 // entries that leave a class, all moves together, by class
let biggest: usize = 0 // move with the most leavers, by class
let policyStamp: u32 = 0
let namesMoved: bool = false

/** The class before: the entry's own, or for a new entry that of what covered it. */
export let moveFrom: usize = 0
export let moveTarget: usize = 0
/** Classes made in this transaction. */
export let freshClasses: usize = 0
export let flips: u32 = 0

export function initializeMoves(entryCapacity: u32, classCapacity: u32): void {
  moveFrom = column(entryCapacity)
  moveSignature = column(entryCapacity)
  moveLeavers = column(entryCapacity)
  moveNext = column(entryCapacity)
  moveTarget = column(entryCapacity)
  buckets = column(BUCKETS)
  leavers = column(classCapacity)
  biggest = column(classCapacity)
  freshClasses = vector(classCapacity)
}

/** Every entry that changed takes identity and flags from whoever defines it; this may make identities. */
export function adoptDefinitions(): void {
  for (let i: u32 = 0; i < length(dirtyEntries); i++) {
    const entry = item(dirtyEntries, i)
    poke(entryPlain, entry, adoptDefinition(entry))
  }
}

/** Endpoints whose subject changes, those included that appear or go. */
export function countFlips(): void {
  flips = 0
  for (let i: u32 = 0; i < length(dirtyEndpoints); i++) {
    const endpoint = item(dirtyEndpoints, i)
    if (get(endpointLeft, endpoint) != get(endpointSubject, endpoint)) flips++
  }
}

// ---- classification ---------------------------------------------------------------------------------------------

/** Finds the move of every entry that changed. Entries that nobody wants become what covers them, if subjects flip. */
export function classifyEntries(definitionsAdopted: u32): void {
  for (let i: u32 = 0; i < length(dirtyEntries); i++) {
    const entry = item(dirtyEntries, i)
    if (i >= definitionsAdopted) poke(entryPlain, entry, Plain.SAME)
    poke(entryMove, entry, NO_MOVE)
    if (entryWanted(entry) || flips != 0) classify(entry)
  }
}

function classify(entry: u32): void {
  const signature = signatureOf(entry)
  const published = get(entryMap, entry) != EntryMap.NONE
  const from = get(entryClass, published ? entry : coveringEntry(entry, true))
  if (published && get(classSignature, from) == signature) {
    release(signature)
    return
  }
  const move = moveOf(from, signature)
  poke(entryMove, entry, move)
  if (published) poke(moveLeavers, move, get(moveLeavers, move) + 1)
}

function signatureOf(entry: u32): u32 {
  const at = entryWanted(entry) ? entry : coveringEntry(entry, false)
  matchCidrs(get(entryNode, at), (get(entryFlags, entry) & PEER_WORKLOAD) != 0)
  return internSignature(get(identitySelectors, get(entryIdentity, entry)), entryNamedPorts(definingEntry(entry)))
}

/** The move, which keeps the caller's reference on the signature if it is a new one. */
function moveOf(from: u32, signature: u32): u32 {
  const bucket = ((from * 0x9e3779b1) ^ (signature * 0x85ebca6b)) >>> 8 & (BUCKETS - 1)
  let move = get(buckets, bucket)
  while (move != 0 && (get(moveFrom, move) != from || get(moveSignature, move) != signature)) move = get(moveNext, move)
  if (move != 0) {
    release(signature)
    return move
  }
  move = ++moveCount
  poke(moveFrom, move, from)
  poke(moveSignature, move, signature)
  poke(moveLeavers, move, 0)
  poke(moveTarget, move, 0)
  poke(moveNext, move, get(buckets, bucket))
  poke(buckets, bucket, move)
  return move
}

// ---- subjects that an endpoint leaves while others stay ------------------------------------------------------------

/**
 * An endpoint that flips away from a subject which lives on would see moved addresses by its old rules first. Where
 * that shows, the subject takes a fresh number for those who stay, and the old number dies with its old spans.
 */
export function renumberSubjects(): void {
  if (flips == 0 || moveCount == 0) return
  markMovedPolicies()
  const count = length(dirtyEndpoints)
  for (let i: u32 = 0; i < count; i++) {
    const left = get(endpointLeft, item(dirtyEndpoints, i))
    if (left == 0 || left == get(endpointSubject, item(dirtyEndpoints, i)) || !subjectLives(left) || get(subjectFresh, left) != 0) continue
    if (seesMoves(left)) replaceSubject(left, renumber(left))
  }
}

function replaceSubject(old: u32, successor: u32): void {
  for (let endpoint: u32 = 1; endpoint <= endpointsUsed(); endpoint++) {
    if (get(endpointSubject, endpoint) != old) continue
    poke(endpointLeft, endpoint, old)
    setSubject(endpoint, successor)
    markEndpoint(endpoint)
  }
}

function seesMoves(subject: u32): bool {
  if (namesMoved) return true
  for (let i: u32 = 0; i < subjectPolicies(subject); i++) if (get(policyMark, subjectPolicy(subject, i)) == policyStamp) return true
  return false
}

function markMovedPolicies(): void {
  policyStamp = nextPolicyStamp()
  namesMoved = false
  for (let move: u32 = 1; move <= moveCount; move++) {
    const before = get(classSignature, get(moveFrom, move))
    const after = get(moveSignature, move)
    if (!sameNames(before, after)) namesMoved = true
    markDifference(before, after)
    markDifference(after, before)
  }
}

let policyStamps: u32 = 0
/** A value that no `policyMark` has. */
export function nextPolicyStamp(): u32 { return ++policyStamps }

function markDifference(signature: u32, without: u32): void {
  for (let i: u32 = 0; i < terms(signature); i++) {
    const term = sequenceWord(signature, 1 + i)
    if (hasTerm(without, term)) continue
    for (let m = get(termMemberships, term); m != 0; m = nextMembership(m)) {
      poke(policyMark, get(rulePolicy, get(membershipRule, m)), policyStamp)
    }
  }
}

// ---- signatures -----------------------------------------------------------------------------------------------------

@inline function terms(signature: u32): u32 { return signature == 0 ? 0 : sequenceWord(signature, 0) }

function hasTerm(signature: u32, term: u32): bool {
  let low: u32 = 1
  let high: u32 = terms(signature) + 1
  while (low < high) {
    const middle = (low + high) / 2
    if (sequenceWord(signature, middle) < term) low = middle + 1
    else high = middle
  }
  return low <= terms(signature) && sequenceWord(signature, low) == term
}

function sameNames(a: u32, b: u32): bool {
  if (a == 0 || b == 0) return false
  const count = sequenceLength(a) - 1 - terms(a)
  if (count != sequenceLength(b) - 1 - terms(b)) return false
  for (let i: u32 = 0; i < count; i++) if (sequenceWord(a, 1 + terms(a) + i) != sequenceWord(b, 1 + terms(b) + i)) return false
  return true
}

/** Whether the signatures differ only by terms that came or went in this transaction: no subject that goes on has them. */
function sameToSurvivors(before: u32, after: u32): bool {
  if (before == 0) return true // restored: every subject is fresh
  if (!sameNames(before, after)) return false
  for (let i: u32 = 0; i < terms(before); i++) {
    const term = sequenceWord(before, 1 + i)
    if (!hasTerm(after, term) && !termIsDead(term)) return false
  }
  for (let i: u32 = 0; i < terms(after); i++) {
    const term = sequenceWord(after, 1 + i)
    if (!hasTerm(before, term) && !termIsFresh(term)) return false
  }
  return true
}

// ---- targets ----------------------------------------------------------------------------------------------------------

/** Chooses the class that every move leads to. */
export function placeMoves(): void {
  findBiggestMoves()
  for (let move: u32 = 1; move <= moveCount; move++) keepClassOf(move)
  for (let move: u32 = 1; move <= moveCount; move++) {
    if (get(moveTarget, move) == 0) poke(moveTarget, move, targetOf(get(moveFrom, move), get(moveSignature, move)))
    release(get(moveSignature, move))
  }
}

function findBiggestMoves(): void {
  for (let peerClass: u32 = 0; peerClass <= classesUsed(); peerClass++) poke(leavers, peerClass, 0)
  for (let move: u32 = 1; move <= moveCount; move++) {
    const from = get(moveFrom, move)
    if (get(leavers, from) == 0 || get(moveLeavers, move) > get(moveLeavers, get(biggest, from))) poke(biggest, from, move)
    poke(leavers, from, get(leavers, from) + get(moveLeavers, move))
  }
}

/** A class that all entries leave keeps most of them: it takes their new signature, and they need no write. */
function keepClassOf(move: u32): void {
  const from = get(moveFrom, move)
  const signature = get(moveSignature, move)
  if (from == 0 || get(biggest, from) != move || get(moveLeavers, move) == 0) return
  if (get(leavers, from) != get(classSize, from) || classOf(signature) != 0) return
  if (!sameToSurvivors(get(classSignature, from), signature)) return
  adoptSignature(from, signature)
  poke(moveTarget, move, from)
}

function targetOf(from: u32, signature: u32): u32 {
  for (let peerClass = classOf(signature); peerClass != 0; peerClass = get(classTwin, peerClass)) {
    if (sameToDying(from, peerClass)) return peerClass
  }
  const created = createClass(signature)
  push(freshClasses, created)
  for (let i: u32 = 0; i < length(dyingSubjects); i++) {
    bridge(item(dyingSubjects, i), from, created, 0)
    bridge(item(dyingSubjects, i), from, created, 1)
  }
  return created
}

function sameToDying(from: u32, to: u32): bool {
  if (from == 0) return true // no packet to or from there has been let through
  for (let i: u32 = 0; i < length(dyingSubjects); i++) {
    const subject = item(dyingSubjects, i)
    if (spanOf(subject, from, 0) != spanOf(subject, to, 0) || spanOf(subject, from, 1) != spanOf(subject, to, 1)) return false
  }
  return true
}

function bridge(subject: u32, from: u32, to: u32, direction: u32): void {
  const span = from == 0 ? 0 : spanOf(subject, from, direction)
  retainSpan(span)
  addEntry(subject, to, direction, span)
}

export function clearMoveScratch(): void {
  moveCount = 0
  clear(freshClasses)
  memory.fill(buckets, 0, (<usize>BUCKETS + 1) << 2)
}
