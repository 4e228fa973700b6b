// JSON that is read as JSON says what it says as YAML, faults and places included.
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { parseDocuments, parseManifests } from './parse.ts'
import type { Location } from './model.ts'

const WORKLOAD = { apiVersion: 'sluice.io/v1', kind: 'Workload', metadata: { name: 'web', labels: { app: 'web' }, annotations: { 'odd"key': 'a: "b": c' } }, spec: { addresses: ['10.0.0.1'], interface: 'eth1' } }
const POLICY = {
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumNetworkPolicy',
  metadata: { name: 'names', namespace: 'demo' },
  spec: { endpointSelector: {}, egress: [{ toFQDNs: [{ matchName: 'a.example' }] }, { toServices: [{ k8sService: { serviceName: 'web' } }] }] },
}
const LIST = { apiVersion: 'v1', kind: 'List', items: [WORKLOAD, POLICY] }

/** The comment makes it YAML, a line further down. */
const asYaml = (text: string): string => `#\n${text}`
const up = ({ file, line, column }: Location): Location => ({ file, line: line - 1, column })

function seen(text: string, lift: (location: Location) => Location) {
  const { documents, errors } = parseDocuments(text, 'f.json')
  return {
    documents: documents.map(({ resource, location, places, warnings }) => ({
      resource: JSON.stringify(resource, (key, value: unknown) => (key === 'at' ? undefined : value)),
      location: lift(location),
      places: Object.fromEntries(Object.entries(places).map(([path, place]) => [path, lift(place)])),
      warnings: warnings.map((warning) => ({ ...warning, ...lift(warning) })),
    })),
    errors: errors.map(({ detail: { file, line = 0, column = 0, path, message } }) => ({ ...lift({ file, line, column }), path, message })),
  }
}

const same = (t: ExecutionContext, text: string): boolean => t.deepEqual(seen(text, (location) => location), seen(asYaml(text), up), text)

test('documents, their places, faults and warnings are the same', (t) => {
  for (const value of [WORKLOAD, POLICY, LIST]) {
    same(t, JSON.stringify(value))
    same(t, `\n\n  ${JSON.stringify(value, null, 2)}`)
  }
  same(t, JSON.stringify({ ...WORKLOAD, spek: {} }))
  same(t, JSON.stringify({ ...LIST, items: [WORKLOAD, { ...POLICY, kind: 'Nonsense' }] }, null, 1))
})

test('a key that stands twice is a fault', (t) => {
  const text = '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "name": "b"}}'
  const [error] = parseDocuments(text, 'f.json').errors
  t.like(error?.detail, { line: 1, column: 69, path: 'metadata.name' })
  same(t, text)
})

test('what is damaged somewhere is the same too', (t) => {
  const texts = [WORKLOAD, POLICY, LIST].flatMap((value) => [JSON.stringify(value), JSON.stringify(value, null, 2)])
  const damage = fc.record({ text: fc.constantFrom(...texts), at: fc.nat(2_000), length: fc.integer({ min: 0, max: 3 }), put: fc.constantFrom('', '"', '}', ']', ',', '\\', 'null', '\n', '0') })
  fc.assert(
    fc.property(damage, ({ text, at, length, put }) => {
      const place = at % text.length
      same(t, text.slice(0, place) + put + text.slice(place + length))
    }),
    { numRuns: 1_000 },
  )
})

test('the value of each document of a List is its own', (t) => {
  t.deepEqual(parseManifests(JSON.stringify(LIST), 'f.json').manifests.map(({ value }) => value), [WORKLOAD, POLICY])
})
