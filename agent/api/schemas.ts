// JSON schemas of the interfaces in types.ts, read from their source. It knows the TypeScript that is used there, and
// throws for the rest: types.ts is data, so it stays that simple.

type Schema = Record<string, unknown>

const INTERFACE = /export interface (\w+) \{\n([\s\S]*?)\n\}/g
const ALIAS = /export type (\w+) = ([^\n]+)/g
const CONSTANT = /export const (\w+) = \[([^\]]*)\] as const/g

/** By name; only the interfaces of `wanted` where it is given. Unions of objects are left to the routes that use them. */
export function schemasOf(source: string, wanted?: readonly string[]): Record<string, Schema> {
  const code = source.replace(/\/\*\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  const constants = new Map([...code.matchAll(CONSTANT)].map(([, name = '', list = '']) => [name, list.split(',').map((each) => each.trim()).filter(Boolean)]))
  const schemas: Record<string, Schema> = {}
  for (const [, name = '', body = ''] of code.matchAll(INTERFACE)) {
    if (wanted?.includes(name) ?? true) schemas[name] = objectSchema(body, constants)
  }
  for (const [, name = '', type = ''] of code.matchAll(ALIAS)) if (isUnionOfStrings(type)) schemas[name] = typeSchema(type, constants)
  for (const [name, list] of constants) schemas[aliasOf(name, code)] = { enum: list.map(unquote) }
  return schemas
}

type Constants = ReadonlyMap<string, readonly string[]>

function objectSchema(body: string, constants: Constants): Schema {
  const properties: Record<string, Schema> = {}
  const required: string[] = []
  for (const { name, optional, type } of fieldsOf(body)) {
    properties[name] = typeSchema(type, constants)
    if (!optional) required.push(name)
  }
  return { type: 'object', properties, ...(required.length > 0 && { required }) }
}

/** Fields end at a line break or a semicolon outside of brackets. */
function fieldsOf(body: string): { name: string; optional: boolean; type: string }[] {
  return splitOutside(body, /[\n;]/)
    .map((text) => text.trim())
    .filter((text) => text !== '')
    .map((text) => {
      const match = /^(?:readonly )?(\w+)(\??): ([\s\S]+)$/.exec(text)
      if (match === null) throw new Error(`agent/api/types.ts has a field that schemas.ts cannot read: ${text}`)
      return { name: match[1] ?? '', optional: match[2] === '?', type: match[3] ?? '' }
    })
}

function typeSchema(text: string, constants: Constants): Schema {
  const type = text.trim().replace(/^readonly /, '')
  if (type.endsWith('[]')) return { type: 'array', items: typeSchema(withoutParentheses(type.slice(0, -2)), constants) }
  const record = /^Readonly<Record<string, (\w+)>>$/.exec(type)?.[1]
  if (record !== undefined) return { type: 'object', additionalProperties: typeSchema(record, constants) }
  if (type.startsWith('{')) return objectSchema(type.slice(1, -1), constants)
  const listed = /^\(typeof (\w+)\)\[number\]$/.exec(type)?.[1]
  if (listed !== undefined) return { enum: (constants.get(listed) ?? []).map(unquote) }
  if (type.includes("'")) return { enum: type.split('|').map((each) => unquote(each.trim())) }
  if (type === 'number') return { type: 'number' }
  if (type === 'string' || type === 'boolean') return { type }
  if (/^[A-Z]\w*(<T>)?$/.test(type)) return { $ref: `#/components/schemas/${type.replace('<T>', '')}` }
  if (type === 'T') return {}
  throw new Error(`agent/api/types.ts has a type that schemas.ts cannot read: ${type}`)
}

function isUnionOfStrings(type: string): boolean {
  return /^'[^']*'( \| '[^']*')*$/.test(type.trim())
}

/** `VERDICTS` is the list of `FlowVerdict`: the alias that is made of it. */
function aliasOf(constant: string, code: string): string {
  return new RegExp(`export type (\\w+) = \\(typeof ${constant}\\)\\[number\\]`).exec(code)?.[1] ?? constant
}

function withoutParentheses(type: string): string {
  return type.startsWith('(') && type.endsWith(')') ? type.slice(1, -1) : type
}

function unquote(text: string): string {
  return text.replace(/^'|'$/g, '')
}

function splitOutside(text: string, separator: RegExp): string[] {
  const parts = ['']
  let depth = 0
  for (const character of text) {
    if ('{(['.includes(character)) depth++
    if ('})]'.includes(character)) depth--
    if (depth === 0 && separator.test(character)) parts.push('')
    else parts[parts.length - 1] += character
  }
  return parts
}
