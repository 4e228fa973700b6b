// What the host passes in: words, then NUL-terminated UTF-8 strings, each read in order.

import { reserve } from './memory'

let inputBase: usize = 0
let inputBytes: usize = 0
let nextWordAt: usize = 0
let nextTextAt: usize = 0

/** Bytes of the last string, without its terminator. */
export let textLength: u32 = 0

export function initializeInput(bytes: usize): void {
  inputBase = reserve(bytes)
  inputBytes = bytes
}

export function inputAddress(): usize { return inputBase }
export function inputCapacity(): usize { return inputBytes }

/** The host wrote `words` words, then text. */
export function openInput(words: u32): void {
  nextWordAt = inputBase
  nextTextAt = inputBase + (<usize>words << 2)
}

export function nextWord(): u32 {
  const word = load<u32>(nextWordAt)
  nextWordAt += 4
  return word
}

/** The address of `count` words in the input. */
export function nextWords(count: u32): usize {
  const at = nextWordAt
  nextWordAt += <usize>count << 2
  return at
}

/** The address of the next string; its length is in `textLength`. */
export function nextText(): usize {
  const at = nextTextAt
  let end = at
  while (load<u8>(end) != 0) end++
  textLength = <u32>(end - at)
  nextTextAt = end + 1
  return at
}
