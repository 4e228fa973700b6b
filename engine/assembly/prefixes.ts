// A path-compressed binary trie over 128-bit prefixes: one node for every prefix that the host set or a rule
// mentions, and the branching points between them. Addresses are four words whose numeric order is that of the
// bits (IPv4 in mapped form).

import { column, failed, get, set, Subject } from './memory'
import { give, pool, take } from './pools'

/** Of an IPv4 address 16. */
const NEIGHBOUR_BITS: u32 = 112

let nodes: usize = 0
let key0: usize = 0
let key1: usize = 0
let key2: usize = 0
let key3: usize = 0
let left: usize = 0
let right: usize = 0
let parents: usize = 0
let root: u32 = 0
let lastFound: u32 = 0 // a node, the root at the least

export let nodeLength: usize = 0
export let nodeEntry: usize = 0 // entry of the address table
export let nodeMentions: usize = 0 // first mention of cidrs.ts

export function initializePrefixes(capacity: u32): void {
  nodes = pool(capacity, Subject.ADDRESSES)
  key0 = column(capacity)
  key1 = column(capacity)
  key2 = column(capacity)
  key3 = column(capacity)
  left = column(capacity)
  right = column(capacity)
  parents = column(capacity)
  nodeLength = column(capacity)
  nodeEntry = column(capacity)
  nodeMentions = column(capacity)
  root = lastFound = take(nodes)
}

@inline export function nodeParent(node: u32): u32 { return get(parents, node) }
@inline export function nodeLeft(node: u32): u32 { return get(left, node) }
@inline export function nodeRight(node: u32): u32 { return get(right, node) }

/** IPv4 addresses are ::ffff:0:0/96 and what is in it. */
@inline export function nodeIsIpv4(node: u32): bool {
  return get(nodeLength, node) >= 96 && get(key0, node) == 0 && get(key1, node) == 0 && get(key2, node) == 0xffff
}

/** Writes the node's address in network byte order. */
export function storeAddress(node: u32, out: usize): void {
  store<u32>(out, bswap(get(key0, node)))
  store<u32>(out + 4, bswap(get(key1, node)))
  store<u32>(out + 8, bswap(get(key2, node)))
  store<u32>(out + 12, bswap(get(key3, node)))
}

@inline function wordOf(node: u32, index: u32): u32 {
  return get(index == 0 ? key0 : index == 1 ? key1 : index == 2 ? key2 : key3, node)
}

@inline function inputWord(address: usize, index: u32): u32 { return bswap(get(address, index)) }

@inline function inputBit(address: usize, position: u32): u32 {
  return inputWord(address, position >>> 5) >>> (31 - (position & 31)) & 1
}

@inline function nodeBit(node: u32, position: u32): u32 {
  return wordOf(node, position >>> 5) >>> (31 - (position & 31)) & 1
}

/** How many leading bits, at most `limit`, the address shares with the node's. */
function sharedBits(node: u32, address: usize, limit: u32): u32 {
  for (let i: u32 = 0; i < 4; i++) {
    const difference = wordOf(node, i) ^ inputWord(address, i)
    if (difference != 0) return min(limit, (i << 5) + <u32>clz<u32>(difference))
    if ((i + 1) << 5 >= limit) return limit
  }
  return limit
}

/** The deepest node whose prefix covers the first `bits` bits of the address. */
function descend(address: usize, bits: u32): u32 {
  let node = startOf(address, bits)
  while (get(nodeLength, node) < bits) {
    const child = get(inputBit(address, get(nodeLength, node)) != 0 ? right : left, node)
    if (child == 0 || get(nodeLength, child) > bits) return node
    if (sharedBits(child, address, get(nodeLength, child)) < get(nodeLength, child)) return node
    node = child
  }
  return node
}

/**
 * Addresses mostly come in order: from where the last one was found it is a few steps to a neighbour. Once nodes have run
 * out, nodes may hang below none, and only the way from the root has an end.
 */
function startOf(address: usize, bits: u32): u32 {
  if (failed()) return root
  const shared = sharedBits(lastFound, address, min(bits, get(nodeLength, lastFound)))
  if (shared < NEIGHBOUR_BITS) return root
  let node = lastFound
  while (get(nodeLength, node) > shared) node = get(parents, node)
  return node
}

/** The node of exactly this prefix, or 0. `address` is 16 bytes in network order. */
export function findNode(address: usize, bits: u32): u32 {
  const node = descend(address, bits)
  return get(nodeLength, node) == bits ? node : 0
}

/** The deepest node that covers the address. */
export function coveringNode(address: usize): u32 { return descend(address, 128) }

/** The node of this prefix, made where there is none. Bits behind the prefix must be zero. */
export function insertNode(address: usize, bits: u32): u32 {
  const above = descend(address, bits)
  lastFound = above
  if (get(nodeLength, above) == bits) return above
  const side = inputBit(address, get(nodeLength, above)) != 0 ? right : left
  const below = get(side, above)
  const node = create(address, bits)
  lastFound = node
  if (below == 0) {
    attach(above, node)
    return node
  }
  const shared = sharedBits(below, address, min(bits, get(nodeLength, below)))
  if (shared == bits) {
    attach(above, node)
    attach(node, below)
    return node
  }
  const branch = create(address, shared)
  attach(above, branch)
  attach(branch, below)
  attach(branch, node)
  return node
}

function create(address: usize, bits: u32): u32 {
  const node = take(nodes)
  set(nodeLength, node, bits)
  set(key0, node, masked(address, 0, bits))
  set(key1, node, masked(address, 1, bits))
  set(key2, node, masked(address, 2, bits))
  set(key3, node, masked(address, 3, bits))
  set(left, node, 0)
  set(right, node, 0)
  set(nodeEntry, node, 0)
  set(nodeMentions, node, 0)
  return node
}

function masked(address: usize, index: u32, bits: u32): u32 {
  const start = index << 5
  if (bits <= start) return 0
  const word = inputWord(address, index)
  return bits >= start + 32 ? word : word & ~(0xffffffff >>> (bits - start))
}

function attach(above: u32, node: u32): void {
  set(nodeBit(node, get(nodeLength, above)) != 0 ? right : left, above, node)
  set(parents, node, above)
}

/** Removes a node that nobody needs, and a branching point that no longer branches. */
export function pruneNode(node: u32): void {
  if (node == root || get(nodeEntry, node) != 0 || get(nodeMentions, node) != 0) return
  const child = get(left, node) != 0 ? get(left, node) : get(right, node)
  if (child != 0 && get(left, node) != 0 && get(right, node) != 0) return
  const above = get(parents, node)
  if (child != 0) attach(above, child)
  else set(get(left, above) == node ? left : right, above, 0)
  if (node == lastFound) lastFound = root
  give(nodes, node)
  if (child == 0) pruneNode(above)
}

/** After a rollback the node may be gone. */
export function forgetLastFound(): void { lastFound = root }
