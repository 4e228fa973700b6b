// What the host passes in, read in order: words, and texts as sequences hold them.

import { reserve } from './memory'

let inputBase: usize = 0
let inputBytes: usize = 0
let next: usize = 0

export function initializeInput(bytes: usize): void {
  inputBase = reserve(bytes)
  inputBytes = bytes
}

export function inputAddress(): usize { return inputBase }
export function inputCapacity(): usize { return inputBytes }

/** The host wrote an input. */
export function openInput(): void { next = inputBase }

export function nextWord(): u32 {
  const word = load<u32>(next)
  next += 4
  return word
}

/** The address of `count` words in the input. */
export function nextWords(count: u32): usize {
  const at = next
  next += <usize>count << 2
  return at
}

/** The address of the next text: its length in bytes, then UTF-8, padded with zeros to a whole word. */
export function nextText(): usize {
  const at = next
  next += <usize>textWords(at) << 2
  return at
}

@inline export function textBytes(text: usize): u32 { return load<u32>(text) }
@inline export function textWords(text: usize): u32 { return 1 + (textBytes(text) + 3) / 4 }
