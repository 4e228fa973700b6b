// Rows for (subject, class): gathers the rules that speak of a class and has them resolved.

import { get, poke } from './memory'
import { clear, item, length, push, vector } from './pools'
import { sequenceLength, sequenceWord, sequenceWords } from './sequences'
import { classesUsed, classSignature, classSize } from './classes'
import { addEntry, spanOf } from './entries'
import { freshClasses, nextPolicyStamp } from './moves'
import {
  policyIsAudit, policyIsolation, policyMark, policyRules, policyTouched, ruleAnyPeer, ruleDirection, ruleMark,
  ruleMembershipsOf, ruleNames, ruleNext, rulePolicy,
} from './policies'
import { DIRECTION_EGRESS, DIRECTION_INGRESS } from './records.generated'
import { candidates, resolveCandidates, setIsolation } from './resolve'
import {
  freshSubjects, subjectFresh, subjectLives, subjectPolicies, subjectPolicy, subjectPorts, subjectPortWords,
  subjectsUsed,
} from './subjects'
import { membershipRule, nextMembership, nextOfRule, termMark, termMemberships, termOf } from './terms'

const EVERY_PEER: u32 = 0 // class 0
const NO_NUMBER: u32 = 0xffffffff

let anyPeerIngress: usize = 0
let anyPeerEgress: usize = 0
let stamp: u32 = 0 // of policies and terms of the subject at hand
let ruleStamp: u32 = 0
let ports: usize = 0 // named ports of the subject at hand
let portWords: u32 = 0
let audits: bool = false
let namesAnyPeer: bool = false // an egress rule for every peer names a port
let enforcedIngress: u32 = 0
let enforcedEgress: u32 = 0
let observedIngress: u32 = 0
let observedEgress: u32 = 0

export function initializeRulesets(ruleCapacity: u32): void {
  anyPeerIngress = vector(ruleCapacity)
  anyPeerEgress = vector(ruleCapacity)
}

@inline function lower(a: u32, b: u32): u32 { return b == 0 || (a != 0 && a < b) ? a : b }

/** Rows of fresh subjects for every class, and of the others for fresh classes. */
export function resolveRows(): void {
  for (let i: u32 = 0; i < length(freshSubjects); i++) {
    const subject = item(freshSubjects, i)
    if (subjectLives(subject)) resolveSubject(subject)
  }
  for (let i: u32 = 0; i < length(freshClasses); i++) resolveClass(item(freshClasses, i))
}

function resolveSubject(subject: u32): void {
  openSubject(subject)
  resolveEveryPeer(subject, DIRECTION_INGRESS)
  resolveEveryPeer(subject, DIRECTION_EGRESS)
  for (let peerClass: u32 = 1; peerClass <= classesUsed(); peerClass++) {
    if (get(classSize, peerClass) == 0) continue
    resolvePeers(subject, peerClass, DIRECTION_INGRESS)
    resolvePeers(subject, peerClass, DIRECTION_EGRESS)
  }
}

/** Only subjects that have a rule which speaks of the class can have rows for it, or that name ports for every peer. */
function resolveClass(peerClass: u32): void {
  const signature = get(classSignature, peerClass)
  const touched = nextPolicyStamp()
  for (let i: u32 = 0; i < sequenceWord(signature, 0); i++) {
    for (let m = get(termMemberships, sequenceWord(signature, 1 + i)); m != 0; m = nextMembership(m)) {
      poke(policyTouched, get(rulePolicy, get(membershipRule, m)), touched)
    }
  }
  const named = sequenceLength(signature) > 1 + sequenceWord(signature, 0)
  for (let subject: u32 = 1; subject <= subjectsUsed(); subject++) {
    if (!subjectLives(subject) || get(subjectFresh, subject) != 0) continue
    if (!named && !isTouched(subject, touched)) continue
    openSubject(subject)
    resolvePeers(subject, peerClass, DIRECTION_INGRESS)
    resolvePeers(subject, peerClass, DIRECTION_EGRESS)
  }
}

function isTouched(subject: u32, touched: u32): bool {
  for (let i: u32 = 0; i < subjectPolicies(subject); i++) if (get(policyTouched, subjectPolicy(subject, i)) == touched) return true
  return false
}

// ---- the subject at hand ----------------------------------------------------------------------------------------

function openSubject(subject: u32): void {
  stamp = nextPolicyStamp()
  ports = subjectPorts(subject)
  portWords = subjectPortWords(subject)
  audits = false
  namesAnyPeer = false
  enforcedIngress = enforcedEgress = observedIngress = observedEgress = NO_NUMBER
  clear(anyPeerIngress)
  clear(anyPeerEgress)
  for (let i: u32 = 0; i < subjectPolicies(subject); i++) openPolicy(subjectPolicy(subject, i))
}

function openPolicy(policy: u32): void {
  poke(policyMark, policy, stamp)
  const ingress = policyIsolation(policy, DIRECTION_INGRESS) - 1 // none becomes NO_NUMBER
  const egress = policyIsolation(policy, DIRECTION_EGRESS) - 1
  observedIngress = min(observedIngress, ingress)
  observedEgress = min(observedEgress, egress)
  if (policyIsAudit(policy)) audits = true
  else {
    enforcedIngress = min(enforcedIngress, ingress)
    enforcedEgress = min(enforcedEgress, egress)
  }
  for (let rule = get(policyRules, policy); rule != 0; rule = get(ruleNext, rule)) openRule(rule)
}

function openRule(rule: u32): void {
  if (get(ruleAnyPeer, rule) != 0) {
    const egress = get(ruleDirection, rule) == DIRECTION_EGRESS
    push(egress ? anyPeerEgress : anyPeerIngress, rule)
    if (egress && sequenceLength(get(ruleNames, rule)) != 0) namesAnyPeer = true
  }
  for (let m = ruleMembershipsOf(rule); m != 0; m = get(nextOfRule, m)) poke(termMark, termOf(m), stamp)
}

@inline function isolate(direction: u32): void {
  if (direction == DIRECTION_INGRESS) setIsolation(enforcedIngress + 1, observedIngress + 1)
  else setIsolation(enforcedEgress + 1, observedEgress + 1)
}

// ---- rows -------------------------------------------------------------------------------------------------------

function resolveEveryPeer(subject: u32, direction: u32): void {
  const rules = direction == DIRECTION_EGRESS ? anyPeerEgress : anyPeerIngress
  clear(candidates)
  for (let i: u32 = 0; i < length(rules); i++) push(candidates, item(rules, i))
  isolate(direction)
  const ingress = direction == DIRECTION_INGRESS
  addEntry(subject, EVERY_PEER, direction, resolveCandidates(ingress ? ports : 0, ingress ? portWords : 0, 0, audits))
}

/** Rules for this class, then those for every peer, which its rows must outrank or give way to. */
function resolvePeers(subject: u32, peerClass: u32, direction: u32): void {
  const signature = get(classSignature, peerClass)
  const terms = sequenceWord(signature, 0)
  const names = sequenceLength(signature) - 1 - terms
  const named = direction == DIRECTION_EGRESS && namesAnyPeer && names != 0
  clear(candidates)
  collectRules(signature, direction)
  if (length(candidates) == 0 && !named) return
  const rules = direction == DIRECTION_EGRESS ? anyPeerEgress : anyPeerIngress
  for (let i: u32 = 0; i < length(rules); i++) push(candidates, item(rules, i))
  isolate(direction)
  const base = spanOf(subject, EVERY_PEER, direction)
  if (base == 0) return // only after a failure
  const span = direction == DIRECTION_EGRESS
    ? resolveCandidates(sequenceWords(signature) + (<usize>(1 + terms) << 2), names, base, audits)
    : resolveCandidates(ports, portWords, base, audits)
  addEntry(subject, peerClass, direction, span)
}

function collectRules(signature: u32, direction: u32): void {
  ruleStamp++
  for (let i: u32 = 0; i < sequenceWord(signature, 0); i++) {
    const term = sequenceWord(signature, 1 + i)
    if (get(termMark, term) == stamp) collectRulesOf(term, direction)
  }
}

function collectRulesOf(term: u32, direction: u32): void {
  for (let m = get(termMemberships, term); m != 0; m = nextMembership(m)) {
    const rule = get(membershipRule, m)
    if (get(ruleDirection, rule) != direction || get(ruleMark, rule) == ruleStamp) continue
    if (get(policyMark, get(rulePolicy, rule)) != stamp) continue
    poke(ruleMark, rule, ruleStamp)
    push(candidates, rule)
  }
}
