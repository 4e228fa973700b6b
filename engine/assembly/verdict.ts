// What the datapath would decide, from the engine's own mirror of its maps: the two addresses' entries, then for each
// end that is a local endpoint the rows of (subject, other end's class) and of (subject, every peer), the higher
// precedence deciding.

import { get, reserve } from './memory'
import { entryClass, entryFlags, entryIfindex, entryMap, EntryMap } from './addresses'
import { spanOf } from './entries'
import { endpointAudits, endpointPublished, endpointSubject, findEndpoint } from './endpoints'
import { coveringNode, findNode, nodeEntry, nodeParent } from './prefixes'
import {
  DIRECTION_EGRESS, DIRECTION_INGRESS, HOST_IFINDEX, PEER_HOST, POLICY_AUDIT, POLICY_DENY, POLICY_ROW_ACTION_OFFSET, POLICY_ROW_FIRST_OFFSET, POLICY_ROW_LAST_OFFSET, POLICY_ROW_PRECEDENCE_OFFSET,
  POLICY_ROW_RULE_OFFSET,
} from './records.generated'
import { rowAt, spanFirst, spanRows } from './rows'
import { subjectNumber } from './subjects'

/** Instead of an enum policy_action: that end is no local endpoint. */
const ABSENT: u32 = 3
/** First and last key, precedence, rule, enum policy_action; a first key above the last: there is no such row. */
const ROW_WORDS: usize = 5
/** enum policy_action, rule, subject, class; then the row of the class and the one of every peer. */
const SIDE_WORDS: usize = 4 + 2 * ROW_WORDS

let sides: usize = 0 // egress, then ingress
let addresses: usize = 0 // of the host: source, destination

export function initializeVerdict(): void {
  sides = reserve(SIDE_WORDS * 2 * 4)
  addresses = reserve(32)
}

export function verdictInput(): usize { return addresses }
export function verdictOutput(): usize { return sides }

/** Fills the sides for the two addresses at `verdictInput`. */
export function decide(protocol: u32, port: u32): void {
  const source = lookUp(addresses)
  const destination = lookUp(addresses + 16)
  const key = protocol << 16 | port
  decideSide(sides, source, destination, DIRECTION_EGRESS, key)
  decideSide(sides + (SIDE_WORDS << 2), destination, source, DIRECTION_INGRESS, key)
}

/** The entry that the datapath finds for an address: exact first, then the longest prefix. */
function lookUp(address: usize): u32 {
  const exact = findNode(address, 128)
  if (exact != 0 && get(entryMap, get(nodeEntry, exact)) == EntryMap.ADDRESSES) return get(nodeEntry, exact)
  for (let node = coveringNode(address); node != 0; node = nodeParent(node)) {
    const entry = get(nodeEntry, node)
    if (entry != 0 && get(entryMap, entry) == EntryMap.PREFIXES) return entry
  }
  return 0
}

function decideSide(out: usize, own: u32, peer: u32, direction: u32, key: u32): void {
  const endpoint = endpointOf(own)
  const known = endpoint != 0 && get(endpointPublished, endpoint) != 0
  const subject = known ? get(endpointSubject, endpoint) : 0
  const peerClass = get(entryClass, peer)
  const ofClass = rowOf(spanOf(subject, peerClass, direction), key)
  const ofEvery = rowOf(spanOf(subject, 0, direction), key)
  const row = decidingRow(ofClass, ofEvery)
  let decision: u32 = row == 0 ? POLICY_DENY : <u32>load<u8>(row + POLICY_ROW_ACTION_OFFSET)
  if (decision == POLICY_DENY && row != 0 && endpointAudits(endpoint)) decision = POLICY_AUDIT
  store<u32>(out, known ? decision : ABSENT)
  store<u32>(out + 4, row == 0 ? 0 : load<u32>(row + POLICY_ROW_RULE_OFFSET))
  store<u32>(out + 8, get(subjectNumber, subject))
  store<u32>(out + 12, peerClass)
  storeRow(out + 16, ofClass)
  storeRow(out + 16 + (ROW_WORDS << 2), ofEvery)
}

/** The node's own addresses name no interface: it is the endpoint HOST_IFINDEX, while it has policies. */
function endpointOf(own: u32): u32 {
  const ifindex = (get(entryFlags, own) & PEER_HOST) != 0 ? HOST_IFINDEX : get(entryIfindex, own)
  return ifindex == 0 ? 0 : findEndpoint(ifindex)
}

function storeRow(out: usize, row: usize): void {
  store<u32>(out, row == 0 ? 1 : load<u32>(row + POLICY_ROW_FIRST_OFFSET))
  store<u32>(out + 4, row == 0 ? 0 : load<u32>(row + POLICY_ROW_LAST_OFFSET))
  if (row == 0) return
  store<u32>(out + 8, load<u32>(row + POLICY_ROW_PRECEDENCE_OFFSET))
  store<u32>(out + 12, load<u32>(row + POLICY_ROW_RULE_OFFSET))
  store<u32>(out + 16, <u32>load<u8>(row + POLICY_ROW_ACTION_OFFSET))
}

/** Of the class's row and the one for every peer the higher precedence; at a tie the class's. */
function decidingRow(ofClass: usize, ofEvery: usize): usize {
  if (ofClass == 0 || ofEvery == 0) return ofClass == 0 ? ofEvery : ofClass
  return load<u32>(ofClass + POLICY_ROW_PRECEDENCE_OFFSET) >= load<u32>(ofEvery + POLICY_ROW_PRECEDENCE_OFFSET) ? ofClass : ofEvery
}

function rowOf(span: u32, key: u32): usize {
  let low = get(spanFirst, span)
  let high = low + get(spanRows, span)
  const end = high
  while (low < high) {
    const middle = (low + high) / 2
    if (load<u32>(rowAt(middle) + POLICY_ROW_LAST_OFFSET) < key) low = middle + 1
    else high = middle
  }
  return low < end && load<u32>(rowAt(low) + POLICY_ROW_FIRST_OFFSET) <= key ? rowAt(low) : 0
}
