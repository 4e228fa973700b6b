// Programs write JSON, which is YAML too: read by the engine's own parser, thirty times as fast, where it has no fault.
// Its nodes have no places; whoever needs one parses the text as YAML (source.ts).
import { Document, Pair, Scalar, YAMLMap, YAMLSeq, type Node } from 'yaml'
import type { YamlDocument } from './stream.ts'

/** Above it the YAML parser's bounds decide. */
const TEXT_LIMIT = 1_000_000
/** A few times what any kind has. */
const DEPTH_LIMIT = 100

/** The document of a text that is one JSON object without a fault; undefined: the YAML parser says what it is. */
export function parseJson(text: string): YamlDocument | undefined {
  if (text.length > TEXT_LIMIT || !text.trimStart().startsWith('{')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    const built = new Builder()
    const contents = built.node(value, 0)
    // Of a key that stands twice JSON.parse takes the last one.
    if (built.keys !== keysWritten(text)) return undefined
    return Object.assign(new Document(), { contents }) as unknown as YamlDocument
  } catch {
    return undefined
  }
}

class Builder {
  keys = 0

  node(value: unknown, depth: number): Node {
    if (depth > DEPTH_LIMIT) throw new RangeError('too deep')
    if (typeof value !== 'object' || value === null) return new Scalar(value)
    return Array.isArray(value) ? this.#list(value, depth) : this.#map(value, depth)
  }

  #list(values: readonly unknown[], depth: number): YAMLSeq {
    const list = new YAMLSeq()
    list.items = values.map((value) => this.node(value, depth + 1))
    return list
  }

  #map(value: object, depth: number): YAMLMap {
    const map = new YAMLMap()
    const entries = Object.entries(value)
    this.keys += entries.length
    map.items = entries.map(([key, each]) => new Pair(new Scalar(key), this.node(each, depth + 1)))
    return map
  }
}

/** A string before a colon is a key, wherever it stands in JSON. */
function keysWritten(text: string): number {
  let keys = 0
  for (const [, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)) if (colon !== undefined) keys++
  return keys
}
