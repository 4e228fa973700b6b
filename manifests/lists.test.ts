// Lists of one kind, as API servers answer with them: their items need not say what they are.
import test from 'ava'
import { stringify } from 'yaml'
import { compile, KIND_NAMES, parseDocuments, parseManifests } from './index.ts'

const POD_LIST = `apiVersion: v1
kind: PodList
metadata: {resourceVersion: "1"}
items:
- metadata: {name: web, namespace: demo, labels: {app: web}}
  status: {podIP: 10.0.0.1}
- apiVersion: v1
  kind: Pod
  metadata: {name: db, namespace: demo}
  status: {podIP: 10.0.0.2}
`

test('items of a PodList are Pods, whether they say so or not', (t) => {
  const { documents, errors } = parseDocuments(POD_LIST, 'pods.yaml')
  t.deepEqual(errors, [])
  t.deepEqual(compile(documents).workloads.map(({ name, addresses }) => [name, ...addresses]), [['web', '10.0.0.1'], ['db', '10.0.0.2']])
})

test('and so are those of JSON', (t) => {
  const text = JSON.stringify({ apiVersion: 'v1', kind: 'PodList', metadata: {}, items: [{ metadata: { name: 'web' } }, { metadata: { name: 'db' } }] })
  t.deepEqual(parseDocuments(text, 'pods.json').documents.map(({ resource: { name } }) => name), ['web', 'db'])
})

test('every kind has a list of its own', (t) => {
  for (const kind of KIND_NAMES) {
    const [apiVersion, name] = kind.split(' ')
    const faults = parseDocuments(stringify({ apiVersion, kind: `${name}List`, items: [{ metadata: {}, spek: {} }] }), 'l.yaml').errors
    t.true(faults.some(({ path, code }) => path === 'items[0].spek' && code === 'UNKNOWN_FIELD'), `${kind}: ${faults.map(String).join()}`)
    t.true(faults.every(({ path }) => path.startsWith('items[0].')), `${kind}: ${faults.map(String).join()}`)
  }
})

test('a fault of an item has its place in the list', (t) => {
  const text = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicyList
items:
- metadata: {name: a}
  spec: {podSelector: {}}
- metadata: {name: b}
  spec:
    podSelector: {}
    ingress:
    - ports: [{port: 70000}]
`
  const [error] = parseDocuments(text, 'l.yaml').errors
  t.like(error, { code: 'INVALID', line: 10, path: 'items[1].spec.ingress[0].ports[0].port' })
})

test('what is kept of an item says what it is', (t) => {
  const { manifests } = parseManifests(POD_LIST, 'pods.yaml')
  t.like(manifests[0]?.value, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web' } })
  t.is(parseDocuments(JSON.stringify(manifests[0]?.value), 'again.json').documents.length, 1)
})

test('an empty list is null or empty, and anything else is a fault', (t) => {
  const list = (kind: string, items: string) => parseDocuments(`apiVersion: v1\nkind: ${kind}\n${items}\n`, 'l.yaml')
  for (const kind of ['List', 'PodList']) {
    for (const items of ['items: []', 'items: null', 'items:']) t.deepEqual(list(kind, items), { file: 'l.yaml', documents: [], errors: [] })
    for (const items of ['', 'items: {}', 'items: 1']) t.like(list(kind, items).errors[0], { code: 'INVALID', path: 'items' })
  }
})

test('a list of what nobody knows is no list', (t) => {
  const of = (apiVersion: string, kind: string) => parseDocuments(`{apiVersion: ${apiVersion}, kind: ${kind}, items: [{metadata: {name: a}}]}`, 'l.yaml').errors
  for (const [apiVersion, kind] of [['v1', 'ConfigMapList'], ['apps/v1', 'List'], ['v2', 'PodList'], ['v1', 'PodListList']] as const) {
    t.like(of(apiVersion, kind), [{ code: 'UNKNOWN_KIND', path: 'kind' }], `${apiVersion} ${kind}`)
  }
})

test('an item that is no mapping, or says a wrong kind, is a fault of its own', (t) => {
  const { errors } = parseDocuments('{apiVersion: v1, kind: PodList, items: [1, null, {kind: 7}, {kind: Gadget}]}', 'l.yaml')
  t.deepEqual(errors.map(({ path }) => path), ['items[0].apiVersion', 'items[0].kind', 'items[1].apiVersion', 'items[1].kind', 'items[2].kind', 'items[3].kind'])
})
