// The exports of engine.wasm. The host (engine/index.ts) writes words and text to the input, calls one function, and
// reads packed results; it never keeps an address across a call that may grow the memory.

import { failed, failure, get, sealArenas } from './memory'
import { createDefaultEntries, initializeAddresses, removeAddress, setAddress } from './addresses'
import { initializeCidrs } from './cidrs'
import { classesUsed, classLives, initializeClasses } from './classes'
import { begin, commit, rollback } from './commit'
import { initializeEndpoints, removeEndpoint, setEndpoint } from './endpoints'
import { initializeEntries, liveEntries } from './entries'
import { initializeIdentities, removeIdentity, setIdentity } from './identities'
import { initializeInput, inputAddress, inputCapacity, nextWord, nextWords, openInput } from './input'
import { initializeJournal, journalRuns, takeJournal } from './journal'
import { initializeLabels } from './labels'
import { initializeMaglev, maglev, maglevKeys, maglevTable, maglevWeights } from './maglev'
import { initializeMoves } from './moves'
import { initializePivots } from './pivots'
import { initializePolicies, removePolicy, setPolicy } from './policies'
import { initializePorts, readNamedPorts } from './ports'
import { initializePostings } from './postings'
import { initializePrefixes } from './prefixes'
import { initializePublish } from './publish'
import { ENDPOINT_SIZE, IDENTITY_WORLD_IPV4, IDENTITY_WORLD_IPV6 } from './records.generated'
import { initializeResolve } from './resolve'
import { initializeRows, rowsUsed } from './rows'
import { initializeRulesets } from './rulesets'
import { initializeSelectors } from './selectors'
import { initializeSequences } from './sequences'
import { initializeSubjects, restoreLastSubject, subjectLives, subjectsUsed } from './subjects'
import {
  finishRestore, initializeTakeover, restoreAddresses, restoreEndpoints, restoreGenerations, restorePolicy,
} from './takeover'
import { initializeTerms } from './terms'
import { decide, initializeVerdict, verdictInput, verdictOutput } from './verdict'
import { initializeWrr, weightedRoundRobin, wrrPicks, wrrWeights } from './wrr'

export {
  begin, commit, rollback, failure, inputAddress, inputCapacity, takeJournal, journalRuns, verdictInput, verdictOutput, decide,
  maglev, maglevKeys, maglevWeights, maglevTable, weightedRoundRobin, wrrWeights, wrrPicks, rowsUsed, restoreLastSubject, finishRestore,
}

/** Of an average identity, at most. */
const LABELS_PER_IDENTITY: u32 = 8

/** Reserves all memory; called once, before anything else. */
export function configure(
  identities: u32, labels: u32, selectors: u32, rules: u32, addresses: u32, endpoints: u32, classes: u32,
  policyEntries: u32, policyRows: u32, inputBytes: u32,
): void {
  const entries = addresses + 2 // with the two that always exist
  initializeInput(inputBytes)
  initializeSequences(labels + identities + selectors * 3 + rules * 2 + classes + endpoints, (<usize>labels + identities + rules) * 64)
  initializeLabels(labels)
  initializePorts()
  initializeIdentities(identities)
  initializePostings(identities * LABELS_PER_IDENTITY, identities, labels)
  initializePivots(selectors * 4, labels)
  initializeSelectors(selectors)
  initializeCidrs(selectors)
  initializeTerms(selectors, rules * 4)
  initializePolicies(rules, labels)
  initializePrefixes(entries * 2 + 2)
  initializeAddresses(entries, classes)
  initializeSubjects(endpoints * 2, rules)
  initializeEndpoints(endpoints)
  initializeClasses(classes, selectors)
  initializeEntries(policyEntries, classes)
  initializeRows(policyRows, policyEntries)
  initializeResolve(rules)
  initializeRulesets(rules)
  initializeMoves(entries, classes)
  initializePublish(entries, classes)
  initializeTakeover(endpoints * 2)
  initializeJournal()
  initializeVerdict()
  initializeMaglev()
  initializeWrr()
  sealArenas()
  begin()
  createDefaultEntries(IDENTITY_WORLD_IPV4, IDENTITY_WORLD_IPV6)
}

// Each of these reads the input that the host wrote, and gives 0 or what failed.

export function applySetIdentity(): u32 {
  openInput()
  const number = nextWord()
  setIdentity(number, nextWord())
  return outcome()
}

export function applyRemoveIdentity(): u32 {
  openInput()
  removeIdentity(nextWord())
  return outcome()
}

export function applySetAddress(): u32 {
  openInput()
  const bits = nextWord()
  const address = nextWords(4)
  const identity = nextWord()
  const flags = nextWord()
  const ifindex = nextWord()
  setAddress(address, bits, identity, flags, ifindex, readNamedPorts())
  return outcome()
}

export function applyRemoveAddress(): u32 {
  openInput()
  const bits = nextWord()
  removeAddress(nextWords(4), bits)
  return outcome()
}

export function applySetEndpoint(): u32 {
  openInput()
  const ifindex = nextWord()
  const record = nextWords(<u32>(ENDPOINT_SIZE / 4))
  setEndpoint(ifindex, record, readNamedPorts())
  return outcome()
}

export function applyRemoveEndpoint(): u32 {
  openInput()
  removeEndpoint(nextWord())
  return outcome()
}

export function applySetPolicy(): u32 {
  openInput()
  setPolicy()
  return outcome()
}

export function applyRemovePolicy(): u32 {
  openInput()
  removePolicy()
  return outcome()
}

export function applyRestoreGenerations(): u32 {
  openInput()
  restoreGenerations()
  return outcome()
}

export function applyRestorePolicy(): u32 {
  openInput()
  restorePolicy()
  return outcome()
}

export function applyRestoreAddresses(map: u32): u32 {
  openInput()
  restoreAddresses(map)
  return outcome()
}

export function applyRestoreEndpoints(): u32 {
  openInput()
  restoreEndpoints()
  return outcome()
}

function outcome(): u32 { return failed() ? failure() : 0 }

export function countClasses(): u32 {
  let count: u32 = 0
  for (let i: u32 = 1; i <= classesUsed(); i++) count += get(classLives, i)
  return count
}

export function countSubjects(): u32 {
  let count: u32 = 0
  for (let i: u32 = 1; i <= subjectsUsed(); i++) if (subjectLives(i)) count++
  return count
}

export function countEntries(): u32 { return get(liveEntries, 1) }
