// CIDRs of rules: a prefix, what is excepted from it, and whether addresses that workloads own match. Every prefix
// and every exception has an entry in the address table while a rule mentions it: an entry then lies wholly inside
// or outside of each CIDR.

import { column, fail, Failure, get, poke, set, Subject } from './memory'
import { clear, give, item, length, pool, push, take, truncate, vector, words } from './pools'
import { intern, release, sequenceOwner, sequenceWord, sequenceWords, setSequenceOwner, Tag } from './sequences'
import { insertNode, nodeEntry, nodeIsIpv4, nodeLeft, nodeLength, nodeMentions, nodeParent, nodeRight } from './prefixes'
import { nextWords } from './input'
import { ensureEntry, markEntry } from './addresses'

const MAX_EXCEPTIONS: u32 = 4096
const PREFIX_WORDS: u32 = 5 // length, address

let cidrs: usize = 0
let sequences: usize = 0
let liveTerms: usize = 0
let excludedMark: usize = 0
let matchedMark: usize = 0
let mentions: usize = 0
let mentionCidr: usize = 0 // cidr << 1 | is an exception
let mentionNext: usize = 0
let stamp: u32 = 0

export let cidrTerms: usize = 0 // first term that has this CIDR and no selector
/** CIDRs that the entry last given to `matchCidrs` matches. */
export let matchedCidrs: usize = 0

export function initializeCidrs(capacity: u32): void {
  cidrs = pool(capacity, Subject.SELECTORS)
  sequences = column(capacity)
  liveTerms = column(capacity)
  cidrTerms = column(capacity)
  excludedMark = column(capacity)
  matchedMark = column(capacity)
  mentions = pool(capacity * 2, Subject.SELECTORS)
  mentionCidr = column(capacity * 2)
  mentionNext = column(capacity * 2)
  matchedCidrs = vector(capacity)
}

/** Reads a CIDR from the input (workloads, exceptions, prefix, exceptions' prefixes): its record; 0 after a failure. */
export function readCidr(): u32 {
  const exceptions = load<u32>(nextWords(0) + 4)
  if (exceptions > MAX_EXCEPTIONS) {
    fail(Failure.CAPACITY, Subject.SELECTORS)
    return 0
  }
  const count = 2 + PREFIX_WORDS * (1 + exceptions)
  const sequence = intern(Tag.CIDR, nextWords(count), count)
  let cidr = sequenceOwner(sequence)
  if (cidr == 0 && sequence != 0) {
    cidr = take(cidrs)
    set(sequences, cidr, sequence)
    set(liveTerms, cidr, 0)
    set(cidrTerms, cidr, 0)
    setSequenceOwner(sequence, cidr)
  }
  return cidr
}

export function releaseCidr(cidr: u32): void {
  if (cidr != 0 && release(get(sequences, cidr))) give(cidrs, cidr)
}

@inline function prefixCount(cidr: u32): u32 { return 1 + sequenceWord(get(sequences, cidr), 1) }
@inline function prefixLength(cidr: u32, index: u32): u32 { return sequenceWord(get(sequences, cidr), 2 + index * PREFIX_WORDS) }
@inline function prefixAddress(cidr: u32, index: u32): usize { return sequenceWords(get(sequences, cidr)) + (<usize>(3 + index * PREFIX_WORDS) << 2) }

/** A term that uses the CIDR came to life: its prefixes enter the address table with the first one. */
export function beginCidr(cidr: u32): void {
  set(liveTerms, cidr, get(liveTerms, cidr) + 1)
  if (get(liveTerms, cidr) == 1) for (let i: u32 = 0; i < prefixCount(cidr); i++) mention(cidr, i)
  touchCidr(cidr)
}

export function endCidr(cidr: u32): void {
  set(liveTerms, cidr, get(liveTerms, cidr) - 1)
  touchCidr(cidr)
  if (get(liveTerms, cidr) == 0) for (let i: u32 = 0; i < prefixCount(cidr); i++) unmention(cidr, i)
}

function mention(cidr: u32, index: u32): void {
  const node = insertNode(prefixAddress(cidr, index), prefixLength(cidr, index))
  const record = take(mentions)
  set(mentionCidr, record, cidr << 1 | (index != 0 ? 1 : 0))
  set(mentionNext, record, get(nodeMentions, node))
  set(nodeMentions, node, record)
  markEntry(ensureEntry(node))
}

function unmention(cidr: u32, index: u32): void {
  const node = insertNode(prefixAddress(cidr, index), prefixLength(cidr, index))
  const wanted = cidr << 1 | (index != 0 ? 1 : 0)
  let previous: u32 = 0
  let record = get(nodeMentions, node)
  while (record != 0 && get(mentionCidr, record) != wanted) {
    previous = record
    record = get(mentionNext, record)
  }
  if (record == 0) return
  if (previous == 0) set(nodeMentions, node, get(mentionNext, record))
  else set(mentionNext, previous, get(mentionNext, record))
  give(mentions, record)
  markEntry(get(nodeEntry, node))
}

/** All entries inside the CIDR are looked at again. */
export function touchCidr(cidr: u32): void {
  markSubtree(insertNode(prefixAddress(cidr, 0), prefixLength(cidr, 0)))
}

export function markSubtree(node: u32): void {
  if (node == 0) return
  markEntry(get(nodeEntry, node))
  markSubtree(nodeLeft(node))
  markSubtree(nodeRight(node))
}

@inline export function isMatched(cidr: u32): bool { return get(matchedMark, cidr) == stamp }

/** Finds the CIDRs that cover the node and do not except it, among those that accept workloads if it is one. */
export function matchCidrs(node: u32, workload: bool): void {
  stamp++
  clear(matchedCidrs)
  const shortest: u32 = nodeIsIpv4(node) ? 96 : 0
  for (let at = node; at != 0 && get(nodeLength, at) >= shortest; at = nodeParent(at)) matchMentions(at, workload)
  let kept: u32 = 0
  for (let i: u32 = 0; i < length(matchedCidrs); i++) {
    const cidr = item(matchedCidrs, i)
    if (get(excludedMark, cidr) == stamp) continue
    poke(matchedMark, cidr, stamp)
    poke(words(matchedCidrs), kept++, cidr)
  }
  truncate(matchedCidrs, kept)
}

function matchMentions(node: u32, workload: bool): void {
  for (let record = get(nodeMentions, node); record != 0; record = get(mentionNext, record)) {
    const cidr = get(mentionCidr, record) >>> 1
    if ((get(mentionCidr, record) & 1) != 0) poke(excludedMark, cidr, stamp)
    else if (!workload || sequenceWord(get(sequences, cidr), 0) != 0) push(matchedCidrs, cidr)
  }
}
