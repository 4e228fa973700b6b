import test from 'ava'
import { compile } from './compile.ts'
import { schema } from './index.ts'
import { parseDocuments, parseValue } from './parse.ts'
import { pathOfRule, Places } from './places.ts'

const TEXT = `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Namespace
  metadata: {name: demo}
- apiVersion: cilium.io/v2
  kind: CiliumNetworkPolicy
  metadata:
    name: p
    annotations: {note: keep}
  specs:
  - endpointSelector: {}
    ingress:
    - {}
    ingressDeny:
    - fromRequires: []
`

const rule = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: np}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress:
  - {}
  - ports: [{port: 80}]
`

test('every rule of a document is found where it stands, a direction without rules where its spec does', (t) => {
  const { documents } = parseDocuments(rule, 'p.yaml')
  const [policy] = [...compile(documents).policies.values()]
  const places = new Places(rule, 'p.yaml', documents.map(({ location }) => location))
  const found = [...(policy?.rules.values() ?? [])].map((reference) => {
    const { line, path } = places.locate(policy?.location ?? { file: '', line: 0, column: 0 }, pathOfRule(reference)) ?? {}
    return `${line} ${path}`
  })
  t.deepEqual(found, ['8 spec.ingress', '5 spec.egress', '9 spec.ingress[0]', '10 spec.ingress[1]'])
})

test('items of a List are documents of their own', (t) => {
  const location = { file: 'p.yaml', line: 7, column: 3 }
  const places = new Places(TEXT, 'p.yaml', [location])
  t.like(places.locate(location, ['specs', 0, 'ingress', 0]), { line: 15, column: 7, path: 'items[1].specs[0].ingress[0]' })
  t.is(places.annotation(location, 'note'), 'keep')
  t.is(places.annotation(location, 'other'), undefined)
  t.is(places.locate({ ...location, line: 99 }, []), undefined)
})

const read = (text: string) => parseValue(text, 'v.yaml', {
  schema: schema.object({ size: schema.integer(1, 9) }, ['size']),
  read: ({ size }, source) => {
    if (size === 4) source.report('INVALID', ['size'], 'is 4', 'not 4')
    return size
  },
})

test('a value along a schema, or every fault with its place', (t) => {
  t.deepEqual(read('{size: 3}'), { value: 3, errors: [] })
  t.is(read('{size: 12}').errors[0]?.message, 'v.yaml:1:2: size: is 12; allowed: an integer from 1 to 9')
  t.is(read('{size: 4}').errors[0]?.message, 'v.yaml:1:2: size: is 4; allowed: not 4')
  t.is(read('').errors[0]?.message, 'v.yaml: the file has 0 documents; allowed: one')
  t.is(read('size: 1\n---\nsize: 2\n').errors[0]?.message, 'v.yaml: the file has 2 documents; allowed: one')
})
