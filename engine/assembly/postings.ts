// Which labels an identity has, and which identities have a label: a posting for each pair, in a list of both. A new
// selector is compared with those identities alone that have what it asks for.

import { column, get, set, Subject } from './memory'
import { give, item, length, pool, take } from './pools'

let postings: usize = 0
let nextOfLabel: usize = 0
let previousOfLabel: usize = 0
let nextOfIdentity: usize = 0
let ofLabel: usize = 0 // first posting, by atom
let ofIdentity: usize = 0

export let postingIdentity: usize = 0
export let postingLabel: usize = 0

export function initializePostings(capacity: u32, identities: u32, atoms: u32): void {
  nextOfLabel = column(capacity)
  postings = pool(capacity, Subject.LABELS, nextOfLabel)
  previousOfLabel = column(capacity)
  nextOfIdentity = column(capacity)
  postingIdentity = column(capacity)
  postingLabel = column(capacity)
  ofLabel = column(atoms)
  ofIdentity = column(identities)
}

@inline export function firstOfLabel(label: u32): u32 { return get(ofLabel, label) }
@inline export function nextIdentity(posting: u32): u32 { return get(nextOfLabel, posting) }
@inline export function firstOfIdentity(identity: u32): u32 { return get(ofIdentity, identity) }
@inline export function nextLabel(posting: u32): u32 { return get(nextOfIdentity, posting) }

/** Whether the identity has exactly these labels, given in the order of `setLabels`. */
export function hasLabels(identity: u32, labels: usize): bool {
  let posting = get(ofIdentity, identity)
  for (let i: u32 = 0; i < length(labels); i++) {
    if (posting == 0 || get(postingLabel, posting) != item(labels, i)) return false
    posting = get(nextOfIdentity, posting)
  }
  return posting == 0
}

/** Lists an identity that has none under each of its labels. */
export function setLabels(identity: u32, labels: usize): void {
  for (let i = length(labels); i > 0; i--) {
    const label = item(labels, i - 1)
    const posting = take(postings)
    const first = get(ofLabel, label)
    set(postingIdentity, posting, identity)
    set(postingLabel, posting, label)
    set(nextOfLabel, posting, first)
    set(previousOfLabel, posting, 0)
    if (first != 0) set(previousOfLabel, first, posting)
    set(ofLabel, label, posting)
    set(nextOfIdentity, posting, get(ofIdentity, identity))
    set(ofIdentity, identity, posting)
  }
}

/** Takes the identity's first label from it, and gives it; 0: it has none. */
export function takeLabel(identity: u32): u32 {
  const posting = get(ofIdentity, identity)
  if (posting == 0) return 0
  const label = get(postingLabel, posting)
  const before = get(previousOfLabel, posting)
  const after = get(nextOfLabel, posting)
  if (before == 0) set(ofLabel, label, after)
  else set(nextOfLabel, before, after)
  if (after != 0) set(previousOfLabel, after, before)
  set(ofIdentity, identity, get(nextOfIdentity, posting))
  give(postings, posting)
  return label
}
