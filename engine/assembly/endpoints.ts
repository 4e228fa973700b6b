// Local endpoints: the record that the datapath has (struct endpoint of bpf/types.h) and what its subject depends on.

import { column, get, poke, put, reserve, set, Subject } from './memory'
import { bucketCount, clear, give, item, length, pool, push, take, used, vector } from './pools'
import { identityEndpoints, identityOf, identitySelectors, leaveIdentity, useIdentity } from './identities'
import { releaseNamedPorts } from './ports'
import { ENDPOINT_AUDIT, ENDPOINT_FLAGS_OFFSET, ENDPOINT_IDENTITY_OFFSET, ENDPOINT_SIZE, ENDPOINT_SUBJECT_OFFSET } from './records.generated'
import { joinSubject, leaveSubject, subjectNumber } from './subjects'

let endpoints: usize = 0
let buckets: usize = 0
let bucketMask: u32 = 0
let nexts: usize = 0
let records: usize = 0
let identities: usize = 0
let namedPorts: usize = 0
let dirtyFlags: usize = 0
let nextOfIdentity: usize = 0
let previousOfIdentity: usize = 0

export let endpointIfindex: usize = 0
export let endpointSubject: usize = 0 // record of the subject whose number the datapath has
export let endpointLeft: usize = 0 // scratch: subject before this transaction
export let endpointWanted: usize = 0 // 1: the host set it
export let endpointChanged: usize = 0 // 1: the host set or removed it in this transaction
export let endpointPublished: usize = 0 // 1: the datapath has it
export let dirtyEndpoints: usize = 0

export function initializeEndpoints(capacity: u32): void {
  endpoints = pool(capacity, Subject.ENDPOINTS)
  bucketMask = bucketCount(capacity) - 1
  buckets = column(bucketMask + 1)
  nexts = column(capacity)
  records = reserve((<usize>capacity + 1) * ENDPOINT_SIZE)
  identities = column(capacity)
  namedPorts = column(capacity)
  dirtyFlags = column(capacity)
  nextOfIdentity = column(capacity)
  previousOfIdentity = column(capacity)
  endpointIfindex = column(capacity)
  endpointSubject = column(capacity)
  endpointLeft = column(capacity)
  endpointWanted = column(capacity)
  endpointPublished = column(capacity)
  endpointChanged = column(capacity)
  dirtyEndpoints = vector(capacity)
}

@inline export function endpointsUsed(): u32 { return used(endpoints) }
@inline export function endpointRecord(endpoint: u32): usize { return records + <usize>endpoint * ENDPOINT_SIZE }
@inline export function endpointAudits(endpoint: u32): bool { return (load<u32>(endpointRecord(endpoint) + ENDPOINT_FLAGS_OFFSET) & ENDPOINT_AUDIT) != 0 }

@inline function bucketOf(ifindex: u32): u32 { return (ifindex * 0x9e3779b1) >>> 7 & bucketMask }

export function findEndpoint(ifindex: u32): u32 {
  let endpoint = get(buckets, bucketOf(ifindex))
  while (endpoint != 0 && get(endpointIfindex, endpoint) != ifindex) endpoint = get(nexts, endpoint)
  return endpoint
}

function ensureEndpoint(ifindex: u32): u32 {
  let endpoint = findEndpoint(ifindex)
  if (endpoint != 0) return endpoint
  endpoint = take(endpoints)
  set(endpointIfindex, endpoint, ifindex)
  set(endpointSubject, endpoint, 0)
  set(endpointPublished, endpoint, 0)
  set(identities, endpoint, 0)
  set(namedPorts, endpoint, 0)
  set(nexts, endpoint, get(buckets, bucketOf(ifindex)))
  set(buckets, bucketOf(ifindex), endpoint)
  return endpoint
}

export function markEndpoint(endpoint: u32): void {
  if (get(dirtyFlags, endpoint) != 0) return
  set(dirtyFlags, endpoint, 1)
  push(dirtyEndpoints, endpoint)
}

export function markEndpointsOf(identity: u32): void {
  for (let endpoint = get(identityEndpoints, identity); endpoint != 0; endpoint = get(nextOfIdentity, endpoint)) markEndpoint(endpoint)
}

export function markEndpointsWithPorts(): void {
  for (let endpoint: u32 = 1; endpoint <= used(endpoints); endpoint++) if (get(namedPorts, endpoint) != 0) markEndpoint(endpoint)
}

/** `record` is a struct endpoint without its subject. Takes over the reference on the named ports. */
export function setEndpoint(ifindex: u32, record: usize, ports: u32): void {
  const endpoint = ensureEndpoint(ifindex)
  const subject = load<u32>(endpointRecord(endpoint) + ENDPOINT_SUBJECT_OFFSET)
  copyRecord(endpoint, record)
  put(endpointRecord(endpoint) + ENDPOINT_SUBJECT_OFFSET, subject)
  set(endpointWanted, endpoint, 1)
  releaseNamedPorts(get(namedPorts, endpoint))
  set(namedPorts, endpoint, ports)
  joinIdentity(endpoint, identityOf(load<u32>(record + ENDPOINT_IDENTITY_OFFSET)))
  set(endpointChanged, endpoint, 1)
  markEndpoint(endpoint)
}

function copyRecord(endpoint: u32, record: usize): void {
  for (let at: usize = 0; at < ENDPOINT_SIZE; at += 4) put(endpointRecord(endpoint) + at, load<u32>(record + at))
}

export function removeEndpoint(ifindex: u32): void {
  const endpoint = findEndpoint(ifindex)
  if (endpoint == 0) return
  set(endpointWanted, endpoint, 0)
  markEndpoint(endpoint)
}

/** An endpoint as the pinned map has it, until the host sets it again or `finishRestore` removes it. */
export function restoreEndpoint(ifindex: u32, record: usize, subject: u32): void {
  const endpoint = ensureEndpoint(ifindex)
  copyRecord(endpoint, record)
  set(endpointSubject, endpoint, subject)
  set(endpointWanted, endpoint, 0)
  set(endpointPublished, endpoint, 1)
  markEndpoint(endpoint)
}

function joinIdentity(endpoint: u32, identity: u32): void {
  if (get(identities, endpoint) == identity) return
  quitIdentity(endpoint)
  useIdentity(identity)
  const first = get(identityEndpoints, identity)
  set(nextOfIdentity, endpoint, first)
  set(previousOfIdentity, endpoint, 0)
  if (first != 0) set(previousOfIdentity, first, endpoint)
  set(identityEndpoints, identity, endpoint)
  set(identities, endpoint, identity)
}

function quitIdentity(endpoint: u32): void {
  const identity = get(identities, endpoint)
  if (identity == 0) return
  const before = get(previousOfIdentity, endpoint)
  const after = get(nextOfIdentity, endpoint)
  if (before == 0) set(identityEndpoints, identity, after)
  else set(nextOfIdentity, before, after)
  if (after != 0) set(previousOfIdentity, after, before)
  set(identities, endpoint, 0)
  leaveIdentity(identity)
}

/** Gives every dirty endpoint the subject that its policies make; `endpointLeft` keeps the one before. */
export function assignSubjects(): void {
  for (let i: u32 = 0; i < length(dirtyEndpoints); i++) {
    const endpoint = item(dirtyEndpoints, i)
    const old = get(endpointSubject, endpoint)
    const wanted = get(endpointWanted, endpoint) != 0
    const subject = wanted ? wantedSubject(endpoint) : 0
    poke(endpointLeft, endpoint, old)
    setSubject(endpoint, subject)
    leaveSubject(old)
  }
}

function wantedSubject(endpoint: u32): u32 {
  const selectorSet = get(identitySelectors, get(identities, endpoint))
  return joinSubject(selectorSet, get(namedPorts, endpoint), endpointAudits(endpoint) ? 1 : 0)
}

export function setSubject(endpoint: u32, subject: u32): void {
  set(endpointSubject, endpoint, subject)
  put(endpointRecord(endpoint) + ENDPOINT_SUBJECT_OFFSET, get(subjectNumber, subject))
}

/** Whether the datapath needs the record again. */
export function endpointDiffers(endpoint: u32): bool {
  return get(endpointChanged, endpoint) != 0 || get(endpointSubject, endpoint) != get(endpointLeft, endpoint)
}

/** After a transaction: endpoints that the host removed go. */
export function collectEndpoints(): void {
  for (let i: u32 = 0; i < length(dirtyEndpoints); i++) {
    const endpoint = item(dirtyEndpoints, i)
    set(dirtyFlags, endpoint, 0)
    set(endpointChanged, endpoint, 0)
    if (get(endpointWanted, endpoint) == 0) destroy(endpoint)
  }
}

export function clearEndpointScratch(): void { clear(dirtyEndpoints) }

function destroy(endpoint: u32): void {
  quitIdentity(endpoint)
  releaseNamedPorts(get(namedPorts, endpoint))
  set(namedPorts, endpoint, 0)
  const bucket = bucketOf(get(endpointIfindex, endpoint))
  let previous: u32 = 0
  let current = get(buckets, bucket)
  while (current != endpoint && current != 0) {
    previous = current
    current = get(nexts, current)
  }
  if (previous == 0) set(buckets, bucket, get(nexts, endpoint))
  else set(nexts, previous, get(nexts, endpoint))
  set(endpointIfindex, endpoint, 0)
  give(endpoints, endpoint)
}
