// What is found out about a parsed document before its values are looked at: what aliases stand for, keys that stand
// twice, and which of its values is next to a place in the text.
import { isMap, isPair, isScalar, isSeq, visit } from 'yaml'
import type { Alias, Document as YamlDocument, Node, Pair, Scalar, YAMLMap, YAMLSeq } from 'yaml'
import type { Path } from './errors.ts'

/** What one walk through a document finds. */
export interface Survey {
  /** What each alias stands for: `Alias.resolve` walks the document for every single one. */
  readonly aliases: ReadonlyMap<Alias, Node>
  readonly dangling: readonly DanglingAlias[]
  readonly duplicates: readonly DuplicateKey[]
}

type Ancestors = readonly (YamlDocument | Node | Pair)[]

/** An alias of an anchor that is not there: taken for null it would be a field that is absent, and often allow everything. */
export interface DanglingAlias {
  readonly alias: Alias
  /** From the document down. */
  readonly ancestors: Ancestors
}

/** A key that stands in its mapping already. */
export interface DuplicateKey {
  readonly key: Scalar
  readonly first: Scalar
  /** Of the mapping, from the document down, with itself. */
  readonly ancestors: Ancestors
}

export function survey(document: YamlDocument.Parsed): Survey {
  const anchors = new Map<string, Node>()
  const aliases = new Map<Alias, Node>()
  const dangling: DanglingAlias[] = []
  const duplicates: DuplicateKey[] = []
  visit(document, {
    Value: (_, node, ancestors) => {
      if (node.anchor) anchors.set(node.anchor, node)
      if (isMap(node)) for (const duplicate of duplicateKeys(node as YAMLMap, ancestors)) duplicates.push(duplicate)
    },
    Alias: (_, alias, ancestors) => {
      const target = anchors.get(alias.source)
      if (target === undefined) dangling.push({ alias, ancestors: [...ancestors] })
      else aliases.set(alias, target)
    },
  })
  return { aliases, dangling, duplicates }
}

function duplicateKeys(map: YAMLMap, above: Ancestors): readonly DuplicateKey[] {
  const seen = new Map<unknown, Scalar>()
  const ancestors = [...above, map]
  return map.items.flatMap(({ key }) => {
    if (!isScalar(key)) return []
    const first = seen.get(key.value)
    if (first === undefined) seen.set(key.value, key)
    return first === undefined ? [] : [{ key, first, ancestors }]
  })
}

// ---- paths, looked for only where a fault is told: every step down a list is a search --------------------------------

export const pathOfKey = ({ key, ancestors }: DuplicateKey): Path => [...pathAlong(ancestors), String(key.value)]

export const pathOfAlias = ({ alias, ancestors }: DanglingAlias): Path => pathAlong([...ancestors, alias])

function pathAlong(nodes: Ancestors): Path {
  return nodes.flatMap((node, depth): Path => {
    const below = nodes[depth + 1]
    if (isPair(node)) return isScalar(node.key) && below === node.value ? [String(node.key.value)] : []
    return isSeq(node) ? [node.items.indexOf(below)] : []
  })
}

/** The innermost value that has begun at a place of the text, and is not over before it. */
export function pathAt({ contents }: YamlDocument.Parsed, offset: number): Path {
  const path: (string | number)[] = []
  for (let next = childAt(contents, offset); next !== undefined; next = childAt(next.node, offset)) path.push(next.step)
  return path
}

interface Child {
  readonly step: string | number
  readonly node: unknown
}

function childAt(node: unknown, offset: number): Child | undefined {
  const child = isMap(node) ? lastPair(node as YAMLMap, offset) : isSeq(node) ? lastItem(node as YAMLSeq, offset) : undefined
  if (child === undefined) return undefined
  const isEmpty = isScalar(child.node) && child.node.value === null
  return isEmpty || endOf(child.node) >= offset ? child : undefined
}

function lastPair({ items }: YAMLMap, offset: number): Child | undefined {
  const pair = items.findLast(({ key }) => startOf(key) <= offset)
  return pair && isScalar(pair.key) ? { step: String(pair.key.value), node: pair.value } : undefined
}

function lastItem({ items }: YAMLSeq, offset: number): Child | undefined {
  const step = items.findLastIndex((item) => startOf(item) <= offset)
  return step < 0 ? undefined : { step, node: items[step] }
}

const rangeOf = (node: unknown): readonly number[] => (node as Partial<Node> | null)?.range ?? []
const startOf = (node: unknown): number => rangeOf(node)[0] ?? Infinity
const endOf = (node: unknown): number => rangeOf(node)[2] ?? -1
