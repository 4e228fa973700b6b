// The flow hash of balancers, which those of a group must agree about.

import type { Packet } from './parse.ts'

const WORD = (1n << 64n) - 1n

/** The finaliser of splitmix64. */
function mix(value: bigint): bigint {
  value = ((value ^ (value >> 30n)) * 0xbf58476d1ce4e5b9n) & WORD
  value = ((value ^ (value >> 27n)) * 0x94d049bb133111ebn) & WORD
  return value ^ (value >> 31n)
}

/** Words of addresses and ports count as the machine reads them: little-endian. */
function words(address: Uint8Array, at: number): bigint {
  const view = new DataView(address.buffer, address.byteOffset, address.byteLength)
  return (BigInt(view.getUint32(at, true)) << 32n) | BigInt(view.getUint32(at + 4, true))
}

const swapped = (port: number): bigint => BigInt(((port & 0xff) << 8) | (port >> 8))

export function flowHash({ family, source = new Uint8Array(), destination = new Uint8Array(), sourcePort, destinationPort, protocol }: Packet): number {
  const ports = (swapped(sourcePort) << 24n) | (swapped(destinationPort) << 8n) | BigInt(protocol)
  return Number((family === 4 ? hash4(source, destination, ports) : hash6(source, destination, ports)) >> 32n)
}

function hash4(source: Uint8Array, destination: Uint8Array, ports: bigint): bigint {
  const addresses = words(Uint8Array.of(...source, ...destination), 0)
  return mix(addresses ^ ((ports * 0x9e3779b97f4a7c15n) & WORD))
}

function hash6(source: Uint8Array, destination: Uint8Array, ports: bigint): bigint {
  const first = mix(words(source, 0) ^ ((ports << 16n) & WORD))
  return mix(mix(first ^ words(source, 8)) ^ words(destination, 8))
}
