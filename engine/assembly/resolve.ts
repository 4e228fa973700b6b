// From rules to rows: what a subject's rules say about one class (or, as class 0, about every peer), as disjoint
// ranges of protocol << 16 | port.
//
// The ranges' ends cut the space into intervals. Rules are laid down from the highest precedence; an interval keeps
// the first that reaches it. Each tier sees only intervals that no earlier tier decided, so that `pass` closes an
// interval to the rest of its own tier alone. Skipping closed intervals (union-find with path halving) makes the
// cost near linear. A policy in audit mode is left out of what is enforced, and laid down with the others once more
// to find what it would have denied.

import { column, get, poke, reserve } from './memory'
import { clear, item, length, push, truncate, vector, words } from './pools'
import { sequenceLength, sequenceWord } from './sequences'
import { sortUnique } from './sort'
import {
  Action, ANY_PROTOCOL, policyIsAudit, PRECEDENCE_DEFAULT_DENY, ruleAction, ruleNames, ruleNumber, rulePolicy,
  rulePrecedence, ruleRanges, Tier,
} from './policies'
import {
  POLICY_ALLOW, POLICY_AUDIT, POLICY_DENY, POLICY_ROW_ACTION_OFFSET, POLICY_ROW_FIRST_OFFSET, POLICY_ROW_LAST_OFFSET,
  POLICY_ROW_PRECEDENCE_OFFSET, POLICY_ROW_RULE_OFFSET, POLICY_ROW_SIZE,
} from './records.generated'
import { internSpan, rowAt, spanFirst } from './rows'

const END: u32 = 1 << 24 // one past the last protocol << 16 | port
const MAX_RANGES: u32 = 1 << 17
const MAX_INTERVALS: u32 = MAX_RANGES * 2 + 4
// Decisions besides a rule's record number.
const UNDECIDED: u32 = 0
const DEFAULT_DENY: u32 = 0xffffffff
const DEFAULT_ALLOW: u32 = 0xfffffffe

let rangeFirst: usize = 0
let rangeLast: usize = 0
let rangeRule: usize = 0
let bounds: usize = 0
let enforced: usize = 0
let observed: usize = 0
let skip: usize = 0
let rows: usize = 0
let rowCount: u32 = 0

/** Rules to resolve; the caller fills it. */
export let candidates: usize = 0
/** Rule numbers of the default deny, 0 for none: of policies that are enforced, and of all. */
export let enforcedIsolation: u32 = 0
export let observedIsolation: u32 = 0

export function initializeResolve(ruleCapacity: u32): void {
  candidates = vector(ruleCapacity)
  rangeFirst = vector(MAX_RANGES)
  rangeLast = vector(MAX_RANGES)
  rangeRule = vector(MAX_RANGES)
  bounds = vector(MAX_INTERVALS)
  enforced = column(MAX_INTERVALS)
  observed = column(MAX_INTERVALS)
  skip = column(MAX_INTERVALS)
  rows = reserve(<usize>MAX_INTERVALS * POLICY_ROW_SIZE)
}

export function setIsolation(enforcedRule: u32, observedRule: u32): void {
  enforcedIsolation = enforcedRule
  observedIsolation = observedRule
}

// ---- order ----------------------------------------------------------------------------------------------------

@inline function before(a: u32, b: u32): bool {
  const x = get(rulePrecedence, a)
  const y = get(rulePrecedence, b)
  if (x != y) return x > y
  if (get(ruleNumber, a) != get(ruleNumber, b)) return get(ruleNumber, a) < get(ruleNumber, b)
  return a < b
}

/** Heapsort of the candidates, the one that decides first in front. */
function sortCandidates(): void {
  const base = words(candidates)
  const count = length(candidates)
  for (let root = count / 2; root > 0; root--) sift(base, root - 1, count)
  for (let end = count; end > 1; end--) {
    const last = load<u32>(base)
    store<u32>(base, get(base, end - 1))
    poke(base, end - 1, last)
    sift(base, 0, end - 1)
  }
}

function sift(base: usize, start: u32, count: u32): void {
  const value = get(base, start)
  let hole = start
  for (;;) {
    let child = hole * 2 + 1
    if (child >= count) break
    if (child + 1 < count && before(get(base, child), get(base, child + 1))) child++
    if (!before(value, get(base, child))) break
    poke(base, hole, get(base, child))
    hole = child
  }
  poke(base, hole, value)
}

// ---- ranges and intervals ---------------------------------------------------------------------------------------

function addRange(rule: u32, first: u32, last: u32): void {
  push(rangeFirst, first)
  push(rangeLast, last)
  push(rangeRule, rule)
  push(bounds, first)
  push(bounds, last + 1)
}

/** `ports` at `portWords` words: the named ports that hold here, pairs of name and protocol << 16 | port. */
function collectRanges(ports: usize, portWords: u32): void {
  clear(rangeFirst)
  clear(rangeLast)
  clear(rangeRule)
  clear(bounds)
  push(bounds, 0)
  push(bounds, END)
  for (let i: u32 = 0; i < length(candidates); i++) {
    const rule = item(candidates, i)
    const ranges = get(ruleRanges, rule)
    for (let j: u32 = 0; j < sequenceLength(ranges); j += 2) addRange(rule, sequenceWord(ranges, j), sequenceWord(ranges, j + 1))
    if (sequenceLength(get(ruleNames, rule)) != 0) addNamedRanges(rule, ports, portWords)
  }
  truncate(bounds, sortUnique(words(bounds), length(bounds)))
}

function addNamedRanges(rule: u32, ports: usize, portWords: u32): void {
  const names = get(ruleNames, rule)
  for (let i: u32 = 0; i < sequenceLength(names); i += 2) {
    for (let j: u32 = 0; j < portWords; j += 2) {
      if (get(ports, j) != sequenceWord(names, i)) continue
      const port = get(ports, j + 1)
      const protocol = sequenceWord(names, i + 1)
      if (protocol == ANY_PROTOCOL || protocol == port >>> 16) addRange(rule, port, port)
    }
  }
}

@inline function intervals(): u32 { return length(bounds) - 1 }

function intervalAt(key: u32): u32 {
  let low: u32 = 0
  let high = length(bounds)
  while (low < high) {
    const middle = (low + high) / 2
    if (item(bounds, middle) <= key) low = middle + 1
    else high = middle
  }
  return low - 1
}

// ---- laying down ------------------------------------------------------------------------------------------------

function nextOpen(from: u32): u32 {
  let at = from
  while (get(skip, at) != at) {
    poke(skip, at, get(skip, get(skip, at)))
    at = get(skip, at)
  }
  return at
}

function layDown(decisions: usize, withAudit: bool, isolation: u32): void {
  for (let i: u32 = 0; i < intervals(); i++) poke(decisions, i, UNDECIDED)
  let at = layTier(decisions, withAudit, Tier.ADMIN, 0)
  at = layTier(decisions, withAudit, Tier.NORMAL, at)
  if (isolation != 0) fill(decisions, DEFAULT_DENY)
  layTier(decisions, withAudit, Tier.BASELINE, at)
  fill(decisions, DEFAULT_ALLOW)
}

/** Ranges stand in the order of their rules, hence of tiers: gives where the next tier begins. */
function layTier(decisions: usize, withAudit: bool, tier: u32, from: u32): u32 {
  let at = from
  if (at == length(rangeRule) || get(rulePrecedence, item(rangeRule, at)) >>> 30 != tier) return at
  for (let i: u32 = 0; i < intervals(); i++) poke(skip, i, get(decisions, i) == UNDECIDED ? i : i + 1)
  poke(skip, intervals(), intervals())
  for (; at < length(rangeRule) && get(rulePrecedence, item(rangeRule, at)) >>> 30 == tier; at++) {
    if (withAudit || !policyIsAudit(get(rulePolicy, item(rangeRule, at)))) layRange(decisions, at)
  }
  return at
}

function layRange(decisions: usize, range: u32): void {
  const rule = item(rangeRule, range)
  const decision = get(ruleAction, rule) == Action.PASS ? UNDECIDED : rule
  const end = intervalAt(item(rangeLast, range))
  for (let i = nextOpen(intervalAt(item(rangeFirst, range))); i <= end; i = nextOpen(i)) {
    poke(decisions, i, decision)
    poke(skip, i, i + 1)
  }
}

function fill(decisions: usize, decision: u32): void {
  for (let i: u32 = 0; i < intervals(); i++) if (get(decisions, i) == UNDECIDED) poke(decisions, i, decision)
}

// ---- rows -------------------------------------------------------------------------------------------------------

@inline function denies(decision: u32): bool {
  return decision == DEFAULT_DENY || (decision != DEFAULT_ALLOW && get(ruleAction, decision) == Action.DENY)
}

@inline function precedenceOf(decision: u32): u32 {
  return decision == DEFAULT_DENY ? PRECEDENCE_DEFAULT_DENY : decision == DEFAULT_ALLOW ? 0 : get(rulePrecedence, decision)
}

@inline function numberOf(decision: u32, isolation: u32): u32 {
  return decision == DEFAULT_DENY ? isolation : decision == DEFAULT_ALLOW ? 0 : get(ruleNumber, decision)
}

/** Appends a row, or lengthens the last one by it. */
function addRow(first: u32, last: u32, precedence: u32, rule: u32, action: u32): void {
  if (rowCount > 0) {
    const previous = rows + <usize>(rowCount - 1) * POLICY_ROW_SIZE
    if (load<u32>(previous + POLICY_ROW_LAST_OFFSET) + 1 == first && load<u32>(previous + POLICY_ROW_PRECEDENCE_OFFSET) == precedence
      && load<u32>(previous + POLICY_ROW_RULE_OFFSET) == rule && load<u8>(previous + POLICY_ROW_ACTION_OFFSET) == action) {
      store<u32>(previous + POLICY_ROW_LAST_OFFSET, last)
      return
    }
  }
  const row = rows + <usize>(rowCount++) * POLICY_ROW_SIZE
  memory.fill(row, 0, POLICY_ROW_SIZE)
  store<u32>(row + POLICY_ROW_FIRST_OFFSET, first)
  store<u32>(row + POLICY_ROW_LAST_OFFSET, last)
  store<u32>(row + POLICY_ROW_PRECEDENCE_OFFSET, precedence)
  store<u32>(row + POLICY_ROW_RULE_OFFSET, rule)
  store<u8>(row + POLICY_ROW_ACTION_OFFSET, <u8>action)
}

/**
 * Writes the rows where the decision differs from what `base`, the subject's rows for every peer, says there. Their
 * precedence is at least that of the row which they replace.
 */
function emitRows(decisions: usize, base: u32): void {
  rowCount = 0
  let row: u32 = get(spanFirst, base)
  for (let i: u32 = 0; i < intervals(); i++) {
    const audited = denies(get(decisions, i)) && !denies(get(enforced, i))
    const deciding = audited || decisions == enforced ? get(decisions, i) : get(enforced, i)
    const number = numberOf(deciding, audited ? observedIsolation : enforcedIsolation)
    const action = audited ? POLICY_AUDIT : denies(deciding) ? POLICY_DENY : POLICY_ALLOW
    if (base == 0) addRow(item(bounds, i), item(bounds, i + 1) - 1, precedenceOf(deciding), number, action)
    else row = emitDifference(i, row, precedenceOf(deciding), number, action)
  }
}

/** One interval against the base rows that overlap it, from `row` on; gives where the next interval starts. */
function emitDifference(interval: u32, row: u32, precedence: u32, number: u32, action: u32): u32 {
  const last = item(bounds, interval + 1) - 1
  let first = item(bounds, interval)
  let at = row
  while (true) {
    const base = rowAt(at)
    const baseLast = load<u32>(base + POLICY_ROW_LAST_OFFSET)
    const end = min(last, baseLast)
    if (load<u32>(base + POLICY_ROW_RULE_OFFSET) != number || load<u8>(base + POLICY_ROW_ACTION_OFFSET) != action) {
      addRow(first, end, max(precedence, load<u32>(base + POLICY_ROW_PRECEDENCE_OFFSET)), number, action)
    }
    if (baseLast == end) at++
    if (end == last) return at
    first = end + 1
  }
}

/** The span of what the candidates decide; `base` 0 makes rows for the whole space. One more reference. */
export function resolveCandidates(ports: usize, portWords: u32, base: u32, withAudit: bool): u32 {
  sortCandidates()
  collectRanges(ports, portWords)
  if (length(bounds) < 2) return 0 // only after a failure
  layDown(enforced, false, enforcedIsolation)
  if (withAudit) layDown(observed, true, observedIsolation)
  emitRows(withAudit ? observed : enforced, base)
  return internSpan(rows, rowCount)
}
