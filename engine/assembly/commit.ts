// One transaction: inputs mark what they touch, `commit` brings everything that follows from them up to date and
// writes the journal, and any failure leaves the engine and the journal as they were.

import { beginUndo, failed, failure, rollbackUndo } from './memory'
import { length, rollbackVectors, saveVectors } from './pools'
import { clearAddressScratch, collectEntries, dirtyEntries } from './addresses'
import { assignSubjects, clearEndpointScratch, collectEndpoints } from './endpoints'
import { clearEntryScratch } from './entries'
import { beginJournal, rollbackJournal } from './journal'
import { adoptDefinitions, classifyEntries, clearMoveScratch, countFlips, placeMoves, renumberSubjects } from './moves'
import { clearPolicyScratch, collectPolicies } from './policies'
import { forgetLastFound } from './prefixes'
import { clearPublishScratch, publish, settleEntries } from './publish'
import { clearRowScratch, reclaimRows } from './rows'
import { resolveRows } from './rulesets'
import { clearSelectorScratch, collectSelectors, findTouchedIdentities, refreshIdentities } from './selectors'
import { clearSubjectScratch, collectSubjects, settleDying } from './subjects'
import { clearTermScratch, collectDeadTerms } from './terms'

export function begin(): void {
  beginUndo()
  saveVectors()
  beginJournal()
}

/** Undoes everything since `begin`. */
export function rollback(): void {
  clearMoveScratch()
  clearPublishScratch() // before the vectors are cut back: it goes by their items
  rollbackUndo()
  forgetLastFound()
  rollbackVectors()
  rollbackJournal()
}

/** 0, or what failed; a failure has been rolled back. */
export function commit(): u32 {
  if (!failed()) derive()
  if (!failed()) publish()
  if (!failed()) collect()
  if (!failed()) {
    clearScratch()
    return 0
  }
  rollback()
  return failure()
}

function derive(): void {
  reclaimRows()
  adoptDefinitions()
  const definitionsAdopted = length(dirtyEntries)
  findTouchedIdentities()
  refreshIdentities()
  assignSubjects()
  countFlips()
  classifyEntries(definitionsAdopted)
  renumberSubjects()
  settleDying()
  placeMoves()
  settleEntries()
  resolveRows()
}

/** Records that nobody needs any more: from those that refer to those that are referred to. */
function collect(): void {
  collectEntries()
  collectEndpoints()
  collectSubjects()
  collectPolicies()
  collectDeadTerms()
  collectSelectors()
}

function clearScratch(): void {
  clearAddressScratch()
  clearEndpointScratch()
  clearEntryScratch()
  clearMoveScratch()
  clearPolicyScratch()
  clearPublishScratch()
  clearRowScratch()
  clearSelectorScratch()
  clearSubjectScratch()
  clearTermScratch()
}
