// CIDR peers with their exceptions.
import { covers, familyOf, formatPrefix, parseAddress, parsePrefix, type Peer, type Prefix } from '../engine/index.ts'
import type { Path } from './document/errors.ts'
import type { Source } from './document/source.ts'

interface Block {
  readonly cidr: string
  readonly except?: readonly string[]
}

/** Formats were checked by the schema; exceptions outside of `cidr` are reported. */
export function cidrPeer(source: Source, block: Block, path: Path, workloads: boolean): Peer {
  const prefix = prefixOf(block.cidr)
  const except = (block.except ?? []).map((text, index) => {
    const exception = prefixOf(text)
    if (!covers(prefix, exception)) {
      source.report('INVALID', [...path, 'except', index], `${text} is not inside ${block.cidr}`, `prefixes inside ${block.cidr}`)
    }
    return formatPrefix(exception)
  })
  return { cidr: { prefix: formatPrefix(prefix), except, workloads } }
}

/** A single address is the prefix that holds nothing else. */
export function prefixOf(text: string): Prefix {
  const address = parseAddress(text)
  const prefix = address ? { family: familyOf(address), address, length: 128 } : parsePrefix(text)
  if (prefix === undefined) throw new TypeError(`prefixOf: '${text}' passed the schema and is no prefix`)
  return prefix
}
