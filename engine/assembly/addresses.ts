// The address table. An entry exists where the host set one, where a rule mentions the prefix, and always for
// ::ffff:0:0/96 and ::/0. An entry that the host did not set is what the next shorter one is, in identity and flags;
// its class is its own, since it matches CIDRs of its own.

import { column, get, reserve, set, Subject } from './memory'
import { clear, give, item, length, pool, push, take, used, vector } from './pools'
import { releaseNamedPorts } from './ports'
import { identityEntries, identityNumber, identityOf, leaveIdentity, useIdentity } from './identities'
import { findNode, insertNode, nodeEntry, nodeLength, nodeMentions, nodeParent, pruneNode, storeAddress } from './prefixes'
import {
  PEER_FLAGS_OFFSET, PEER_IDENTITY_OFFSET, PEER_IFINDEX_OFFSET, PEER_LOCAL_RANGE, PEER_PEER_CLASS_OFFSET, PREFIX_KEY_ADDRESS_OFFSET,
  PREFIX_KEY_PREFIX_LENGTH_OFFSET,
} from './records.generated'
import { markSubtree } from './cidrs'

export namespace EntryMap {
  export const NONE: u32 = 0
  export const ADDRESSES: u32 = 1
  export const PREFIXES: u32 = 2
}

/** What changed in an entry's record besides its class. */
export namespace Plain {
  export const SAME: u32 = 0
  export const CHANGED: u32 = 1
  /** It became part of a local range: established flows are decided again, and dropped. */
  export const CLOSED: u32 = 2
}

const HOST: u32 = 1 // the host set it
const DEFAULT: u32 = 2 // one of the two that always exist

let entries: usize = 0
let sources: usize = 0 // HOST | DEFAULT
let hostIdentity: usize = 0 // number
let hostFlags: usize = 0
let hostIfindex: usize = 0
let hostNamedPorts: usize = 0
let dirtyFlags: usize = 0
let nextOfIdentity: usize = 0
let previousOfIdentity: usize = 0
let nextOfClass: usize = 0
let previousOfClass: usize = 0
let defaultKey: usize = 0

export let entryNode: usize = 0
export let entryIdentity: usize = 0 // record; 0: not classified yet
export let entryFlags: usize = 0
export let entryIfindex: usize = 0
export let entryClass: usize = 0
export let entryMap: usize = 0 // EntryMap: where the datapath has it
export let entryMove: usize = 0 // scratch of commit.ts
export let entryPlain: usize = 0 // scratch: written although its class stays; CLOSED if its flows end by it
export let classEntries: usize = 0 // first entry of a class
export let dirtyEntries: usize = 0

export function initializeAddresses(capacity: u32, classes: u32): void {
  entries = pool(capacity, Subject.ADDRESSES)
  sources = column(capacity)
  hostIdentity = column(capacity)
  hostFlags = column(capacity)
  hostIfindex = column(capacity)
  hostNamedPorts = column(capacity)
  dirtyFlags = column(capacity)
  nextOfIdentity = column(capacity)
  previousOfIdentity = column(capacity)
  nextOfClass = column(capacity)
  previousOfClass = column(capacity)
  entryNode = column(capacity)
  entryIdentity = column(capacity)
  entryFlags = column(capacity)
  entryIfindex = column(capacity)
  entryClass = column(capacity)
  entryMap = column(capacity)
  entryMove = column(capacity)
  entryPlain = column(capacity)
  classEntries = column(classes)
  dirtyEntries = vector(capacity + 1)
  defaultKey = reserve(16)
}

@inline export function entriesUsed(): u32 { return used(entries) }
@inline export function entryNamedPorts(entry: u32): u32 { return (get(sources, entry) & HOST) != 0 ? get(hostNamedPorts, entry) : 0 }
@inline export function nextEntryOfIdentity(entry: u32): u32 { return get(nextOfIdentity, entry) }
@inline export function nextEntryOfClass(entry: u32): u32 { return get(nextOfClass, entry) }

/** The two prefixes that always have an entry, with the reserved identities of the world. */
export function createDefaultEntries(ipv4Identity: u32, ipv6Identity: u32): void {
  createDefault(0, ipv6Identity)
  store<u8>(defaultKey + 10, 0xff)
  store<u8>(defaultKey + 11, 0xff)
  createDefault(96, ipv4Identity)
}

function createDefault(bits: u32, identity: u32): void {
  const entry = ensureEntry(insertNode(defaultKey, bits))
  set(sources, entry, DEFAULT | identity << 8)
  markEntry(entry)
}

/** The entry of a node, made where there is none. */
export function ensureEntry(node: u32): u32 {
  let entry = get(nodeEntry, node)
  if (entry != 0) return entry
  entry = take(entries)
  set(entryNode, entry, node)
  set(nodeEntry, node, entry)
  set(sources, entry, 0)
  set(dirtyFlags, entry, 0)
  set(entryIdentity, entry, 0)
  set(entryClass, entry, 0)
  set(entryFlags, entry, 0)
  set(entryIfindex, entry, 0)
  set(entryMap, entry, EntryMap.NONE)
  return entry
}

export function markEntry(entry: u32): void {
  if (entry == 0 || get(dirtyFlags, entry) != 0) return
  set(dirtyFlags, entry, 1)
  push(dirtyEntries, entry)
}

export function markEntriesOf(identity: u32): void {
  for (let entry = get(identityEntries, identity); entry != 0; entry = get(nextOfIdentity, entry)) markEntry(entry)
}

/** Entries whose named ports may have another meaning to rules now. */
export function markEntriesWithPorts(): void {
  for (let entry: u32 = 1; entry <= used(entries); entry++) if (entryNamedPorts(entry) != 0) markEntry(entry)
}

export function setAddress(address: usize, bits: u32, identity: u32, flags: u32, ifindex: u32, namedPorts: u32): void {
  const node = insertNode(address, bits)
  const entry = ensureEntry(node)
  releaseNamedPorts(entryNamedPorts(entry))
  set(sources, entry, get(sources, entry) | HOST)
  set(hostIdentity, entry, identity)
  set(hostFlags, entry, flags)
  set(hostIfindex, entry, ifindex)
  set(hostNamedPorts, entry, namedPorts)
  markHostChange(node)
}

export function removeAddress(address: usize, bits: u32): void {
  const node = findNode(address, bits)
  const entry = get(nodeEntry, node)
  if (node == 0 || entry == 0 || (get(sources, entry) & HOST) == 0) return
  releaseNamedPorts(get(hostNamedPorts, entry))
  set(sources, entry, get(sources, entry) & ~HOST)
  markHostChange(node)
}

/** What rules alone put below a prefix inherits from it. */
function markHostChange(node: u32): void {
  markEntry(get(nodeEntry, node))
  if (get(nodeLength, node) < 128) markSubtree(node)
}

/** Whether anything wants the entry, as of now. */
export function entryWanted(entry: u32): bool {
  return get(sources, entry) != 0 || get(nodeMentions, get(entryNode, entry)) != 0
}

/** Which map an entry belongs to: exact addresses that the host set are hashed, all else is prefixes. */
export function entryHome(entry: u32): u32 {
  if (!entryWanted(entry)) return EntryMap.NONE
  const exact = (get(sources, entry) & HOST) != 0 && get(nodeLength, get(entryNode, entry)) == 128
  return exact ? EntryMap.ADDRESSES : EntryMap.PREFIXES
}

/** The entry whose identity and flags hold here: its own if somebody set it, else the next shorter one that was set. */
export function definingEntry(entry: u32): u32 {
  let node = get(entryNode, entry)
  for (; node != 0; node = nodeParent(node)) {
    const at = get(nodeEntry, node)
    if (at != 0 && get(sources, at) != 0) return at
  }
  return 0
}

/** The next shorter entry that satisfies: wanted now, or published before. */
export function coveringEntry(entry: u32, published: bool): u32 {
  for (let node = nodeParent(get(entryNode, entry)); node != 0; node = nodeParent(node)) {
    const at = get(nodeEntry, node)
    if (at == 0) continue
    if (published ? get(entryMap, at) == EntryMap.PREFIXES : entryWanted(at)) return at
  }
  return 0
}

@inline function definedIdentity(entry: u32): u32 {
  return (get(sources, entry) & HOST) != 0 ? get(hostIdentity, entry) : get(sources, entry) >>> 8
}

/** Whether the datapath drops what the entry answers for: no flow is there. */
@inline export function entryDropsAll(entry: u32): bool { return (get(entryFlags, entry) & PEER_LOCAL_RANGE) != 0 }

/** Takes identity, flags and interface from the defining entry; what changes by it in the published record. */
export function adoptDefinition(entry: u32): u32 {
  const defining = definingEntry(entry)
  const host = (get(sources, defining) & HOST) != 0
  const flags = host ? get(hostFlags, defining) : 0
  const ifindex = host ? get(hostIfindex, defining) : 0
  const identity = identityOf(definedIdentity(defining))
  const changed = identity != get(entryIdentity, entry) || flags != get(entryFlags, entry) || ifindex != get(entryIfindex, entry)
  const closed = (flags & ~get(entryFlags, entry) & PEER_LOCAL_RANGE) != 0
  joinIdentity(entry, identity)
  set(entryFlags, entry, flags)
  set(entryIfindex, entry, ifindex)
  return closed ? Plain.CLOSED : changed ? Plain.CHANGED : Plain.SAME
}

/** The identity that a pinned map has for an entry. */
export function restoreIdentity(entry: u32, number: u32): void { joinIdentity(entry, identityOf(number)) }

function joinIdentity(entry: u32, identity: u32): void {
  if (get(entryIdentity, entry) == identity) return
  quitIdentity(entry)
  useIdentity(identity)
  const first = get(identityEntries, identity)
  set(nextOfIdentity, entry, first)
  set(previousOfIdentity, entry, 0)
  if (first != 0) set(previousOfIdentity, first, entry)
  set(identityEntries, identity, entry)
  set(entryIdentity, entry, identity)
}

function quitIdentity(entry: u32): void {
  const identity = get(entryIdentity, entry)
  if (identity == 0) return
  const before = get(previousOfIdentity, entry)
  const after = get(nextOfIdentity, entry)
  if (before == 0) set(identityEntries, identity, after)
  else set(nextOfIdentity, before, after)
  if (after != 0) set(previousOfIdentity, after, before)
  set(entryIdentity, entry, 0)
  leaveIdentity(identity)
}

export function joinClass(entry: u32, peerClass: u32): void {
  const first = get(classEntries, peerClass)
  set(nextOfClass, entry, first)
  set(previousOfClass, entry, 0)
  if (first != 0) set(previousOfClass, first, entry)
  set(classEntries, peerClass, entry)
  set(entryClass, entry, peerClass)
}

export function quitClass(entry: u32): void {
  const peerClass = get(entryClass, entry)
  if (peerClass == 0) return
  const before = get(previousOfClass, entry)
  const after = get(nextOfClass, entry)
  if (before == 0) set(classEntries, peerClass, after)
  else set(nextOfClass, before, after)
  if (after != 0) set(previousOfClass, after, before)
  set(entryClass, entry, 0)
}

/** Writes struct prefix_key, or its address alone for the table of exact addresses. */
export function storeEntryKey(entry: u32, map: u32, out: usize): void {
  if (map == EntryMap.ADDRESSES) {
    storeAddress(get(entryNode, entry), out)
    return
  }
  store<u32>(out + PREFIX_KEY_PREFIX_LENGTH_OFFSET, get(nodeLength, get(entryNode, entry)))
  storeAddress(get(entryNode, entry), out + PREFIX_KEY_ADDRESS_OFFSET)
}

/** Writes struct peer. */
export function storePeer(entry: u32, out: usize): void {
  store<u32>(out + PEER_IDENTITY_OFFSET, identityNumber(get(entryIdentity, entry)))
  store<u32>(out + PEER_PEER_CLASS_OFFSET, get(entryClass, entry))
  store<u32>(out + PEER_IFINDEX_OFFSET, get(entryIfindex, entry))
  store<u32>(out + PEER_FLAGS_OFFSET, get(entryFlags, entry))
}

/** After a transaction: entries that nobody wants any more go, with their nodes. */
export function collectEntries(): void {
  for (let i: u32 = 0; i < length(dirtyEntries); i++) {
    const entry = item(dirtyEntries, i)
    set(dirtyFlags, entry, 0)
    if (entryWanted(entry)) continue
    const node = get(entryNode, entry)
    quitIdentity(entry)
    set(nodeEntry, node, 0)
    pruneNode(node)
    give(entries, entry)
  }
}

export function clearAddressScratch(): void { clear(dirtyEntries) }
