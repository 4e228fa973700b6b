// The OpenAPI 3.1 document, from the routes and from the interfaces of types.ts: what is said there is said once.
import { readFileSync } from 'node:fs'
import packageJson from '../../package.json' with { type: 'json' }
import type { Route } from './routes.ts'
import { schemasOf } from './schemas.ts'

type JsonObject = Record<string, unknown>

const TYPES = new URL('./types.ts', import.meta.url)
/** Those that types.ts takes over from other folders. */
const SHARED_TYPES = [
  { file: new URL('../../observe/flow.ts', import.meta.url), names: ['Flow', 'FlowEnd'] },
  { file: new URL('../../whatif/entries.ts', import.meta.url), names: ['ComparedEntry'] },
]

export function openApiDocument(routes: readonly Route[]): JsonObject {
  const shared = SHARED_TYPES.map(({ file, names }) => schemasOf(readFileSync(file, 'utf8'), names))
  const schemas = Object.assign(schemasOf(readFileSync(TYPES, 'utf8')), ...shared) as JsonObject
  const paths: Record<string, JsonObject> = {}
  for (const route of routes) paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(route) }
  return {
    openapi: '3.1.0',
    info: { title: 'Sluice agent', version: packageJson.version, description: 'REST over the unix socket of one node.' },
    paths,
    components: { schemas },
  }
}

function operation(route: Route): JsonObject {
  const body = route.method === 'PUT' ? { requestBody: { required: true, content: { 'application/yaml': { schema: { type: 'string' } } } } } : {}
  return {
    summary: route.summary,
    parameters: [...pathParameters(route.path), ...queryParameters(route.query ?? {})],
    ...body,
    responses: { 200: answer(route), default: { description: 'What was wrong', content: json({ $ref: '#/components/schemas/ApiError' }) } },
  }
}

function pathParameters(path: string): JsonObject[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }))
}

function queryParameters(query: Readonly<Record<string, string>>): JsonObject[] {
  return Object.entries(query).map(([name, description]) => ({ name, in: 'query', description, schema: { type: 'string' } }))
}

function answer({ answers, summary }: Route): JsonObject {
  if (answers === 'text') return { description: summary, content: { 'text/plain': { schema: { type: 'string' } } } }
  const listing = /^Listing<(\w+)>$/.exec(answers)?.[1]
  if (listing !== undefined) return { description: summary, content: { ...json(listingOf(listing)), 'text/event-stream': { schema: { type: 'string' } } } }
  const lines = /^(\w+)\[\]$/.exec(answers)?.[1]
  if (lines !== undefined) return { description: summary, content: { 'application/jsonl': { schema: reference(lines) } } }
  return { description: summary, content: json(reference(answers)) }
}

function listingOf(item: string): JsonObject {
  const properties = { revision: { type: 'integer' }, items: { type: 'array', items: reference(item) } }
  return { type: 'object', required: ['revision', 'items'], properties }
}

function reference(name: string): JsonObject {
  return { $ref: `#/components/schemas/${name}` }
}

function json(schema: JsonObject): JsonObject {
  return { 'application/json': { schema } }
}
