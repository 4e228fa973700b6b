// Which identities have a label: a list for each label, so that a new selector is compared with those alone that have
// what it asks for.

import { column, get, set, Subject } from './memory'
import { give, pool, take } from './pools'
import { sequenceLength, sequenceWord } from './sequences'

let postings: usize = 0
let nextOfLabel: usize = 0
let previousOfLabel: usize = 0
let nextOfIdentity: usize = 0
let heads: usize = 0 // by atom

export let postingIdentity: usize = 0

export function initializePostings(capacity: u32, atomCapacity: u32): void {
  postings = pool(capacity, Subject.LABELS)
  nextOfLabel = column(capacity)
  previousOfLabel = column(capacity)
  nextOfIdentity = column(capacity)
  postingIdentity = column(capacity)
  heads = column(atomCapacity)
}

@inline export function firstPosting(label: u32): u32 { return get(heads, label) }
@inline export function nextPosting(posting: u32): u32 { return get(nextOfLabel, posting) }

/** Lists the identity under each of its labels; gives the chain to be handed to `unlist`. */
export function list(identity: u32, labels: u32): u32 {
  let chain: u32 = 0
  for (let i: u32 = 0; i < sequenceLength(labels); i++) {
    const posting = take(postings)
    const first = get(heads, sequenceWord(labels, i))
    set(postingIdentity, posting, identity)
    set(nextOfLabel, posting, first)
    set(previousOfLabel, posting, 0)
    if (first != 0) set(previousOfLabel, first, posting)
    set(heads, sequenceWord(labels, i), posting)
    set(nextOfIdentity, posting, chain)
    chain = posting
  }
  return chain
}

export function unlist(first: u32, labels: u32): void {
  let posting = first
  for (let i = sequenceLength(labels); i > 0; i--) {
    const before = get(previousOfLabel, posting)
    const after = get(nextOfLabel, posting)
    if (before == 0) set(heads, sequenceWord(labels, i - 1), after)
    else set(nextOfLabel, before, after)
    if (after != 0) set(previousOfLabel, after, before)
    const next = get(nextOfIdentity, posting)
    give(postings, posting)
    posting = next
  }
}
