// Walks a document along its schema. Every fault is reported with its place; a value comes out only for what is
// correct throughout.
import { isMap, isScalar, isSeq, type Node, type YAMLMap } from 'yaml'
import type { Path } from './errors.ts'
import type { ObjectSchema, Schema, Value } from './schema.ts'
import { TOO_LARGE, type Source } from './source.ts'

/** Deeper than any kind's schema; only a document that refers to itself gets there. */
const DEPTH_LIMIT = 64

/** The value, or undefined after at least one report. */
export function validate<const S extends Schema>(source: Source, schema: S): Value<S> | undefined {
  const before = source.budget.errors.length
  const value = visit(source, source.node, schema, [])
  return source.budget.errors.length === before ? (value as Value<S>) : undefined
}

function visit(source: Source, node: Node | null, schema: Schema, path: Path): unknown {
  if (source.budget.exhausted) return undefined
  if (source.budget.visit() === 'over' || path.length > DEPTH_LIMIT) return source.report('LIMIT', path, TOO_LARGE)
  switch (schema.type) {
    case 'object':
      return visitObject(source, node, schema, path)
    case 'map':
      return visitMap(source, node, schema, path)
    case 'list':
      return visitList(source, node, schema, path)
    case 'unsupported':
      return source.report('UNSUPPORTED', path, 'is not supported, and ignoring it would change the policy', schema.instead)
    case 'ignored':
      return undefined
    default:
      return visitScalar(source, node, schema, path)
  }
}

type Of<T extends Schema['type']> = Extract<Schema, { type: T }>

function visitObject(source: Source, node: Node | null, schema: ObjectSchema, path: Path): unknown {
  const value: { [name: string]: unknown } = {}
  for (const [name, child] of fields(source, node, path)) {
    const field = Object.hasOwn(schema.fields, name) ? schema.fields[name] : undefined
    if (field === undefined) {
      if (!schema.open) source.report('UNKNOWN_FIELD', [...path, name], 'unknown field', fieldNames(schema))
    } else if (!isNull(child)) {
      value[name] = visit(source, child, field, [...path, name])
    }
  }
  for (const name of schema.required) {
    if (!(name in value)) source.report('MISSING_FIELD', [...path, name], 'required field is missing', expected(schema.fields[name]))
  }
  return value
}

function visitMap(source: Source, node: Node | null, schema: Of<'map'>, path: Path): unknown {
  const value: { [name: string]: unknown } = Object.create(null) as object as { [name: string]: unknown }
  for (const [name, child] of fields(source, node, path)) {
    if (!schema.keys.accepts(name)) source.report('INVALID', [...path, name], 'malformed key', schema.keys.allowed)
    value[name] = visit(source, child, schema.values, [...path, name])
  }
  return value
}

/** The entries of a mapping; keys that are no text are reported. Null counts as an empty mapping. */
function* fields(source: Source, node: Node | null, path: Path): Generator<[string, Node | null]> {
  if (isNull(node)) return
  if (!isMap(node)) return source.report('INVALID', path, `is ${typeName(node)}`, 'a mapping of fields')
  for (const pair of (node as YAMLMap).items) {
    const key = source.resolve(pair.key)
    if (isScalar(key) && typeof key.value === 'string') yield [key.value, source.resolve(pair.value)]
    else source.report('INVALID', path, 'has a key that is no string', 'keys in quotes')
  }
}

function visitList(source: Source, node: Node | null, schema: Of<'list'>, path: Path): unknown {
  if (!isSeq(node)) return source.report('INVALID', path, `is ${typeName(node)}`, 'a list')
  const count = node.items.length
  if (count < schema.minimum || count > schema.maximum) {
    return source.report('INVALID', path, `has ${count} items`, `from ${schema.minimum} to ${schema.maximum} items`)
  }
  return node.items.map((item, index) => visitItem(source, source.resolve(item), schema.items, [...path, index]))
}

/** Kubernetes reads a null item as an empty one, which often allows everything; here it has to be written out. */
function visitItem(source: Source, node: Node | null, schema: Schema, path: Path): unknown {
  if (isNull(node)) return source.report('INVALID', path, 'is null', expected(schema))
  return visit(source, node, schema, path)
}

type ScalarSchema = Of<'string' | 'integer' | 'boolean' | 'integerOrString'>

function visitScalar(source: Source, node: Node | null, schema: ScalarSchema, path: Path): unknown {
  const value = isScalar(node) ? node.value : undefined
  if (!accepts(schema, value)) {
    const shown = value === undefined || value === null ? typeName(node) : JSON.stringify(value)
    return source.report('INVALID', path, `is ${shown}`, expected(schema))
  }
  return value
}

function accepts(schema: ScalarSchema, value: unknown): boolean {
  if (schema.type === 'boolean') return typeof value === 'boolean'
  if (typeof value === 'number') {
    if (schema.type === 'string') return false
    return Number.isInteger(value) && value >= schema.minimum && value <= schema.maximum
  }
  if (typeof value !== 'string' || schema.type === 'integer') return false
  if (schema.type === 'string' && schema.values) return schema.values.includes(value)
  return schema.format?.accepts(value) ?? true
}

/** What a schema allows, in words. */
function expected(schema: Schema | undefined): string {
  switch (schema?.type) {
    case 'string':
      return schema.values?.join(', ') ?? `${schema.format?.allowed ?? 'text'} (a string: numbers and booleans in quotes)`
    case 'integer':
      return `an integer from ${schema.minimum} to ${schema.maximum}`
    case 'integerOrString':
      return `an integer from ${schema.minimum} to ${schema.maximum}, or ${schema.format.allowed}`
    case 'boolean':
      return 'true, false'
    case 'list':
      return 'a list'
    case 'object':
      return schema.open ? 'a mapping of fields' : fieldNames(schema)
    default:
      return 'a mapping of fields'
  }
}

/** Fields that work; those that would be refused are not offered. */
function fieldNames(schema: ObjectSchema): string {
  const names = Object.keys(schema.fields).filter((name) => !['unsupported', 'ignored'].includes(schema.fields[name]?.type ?? ''))
  return names.length === 0 ? 'nothing' : names.join(', ')
}

function isNull(node: Node | null): boolean {
  return node === null || (isScalar(node) && node.value === null)
}

function typeName(node: Node | null): string {
  if (isNull(node)) return 'null'
  if (isMap(node)) return 'a mapping'
  if (isSeq(node)) return 'a list'
  return isScalar(node) ? JSON.stringify(node.value) : 'malformed'
}
