import test from 'ava'
import type { DocumentName } from '../api/index.ts'
import type { AppliedManifest } from '../store.ts'
import { actionsOf, checkKnown, InvalidManifestError, inUsersFiles, inverseOf, originName, readApplied } from './applied.ts'

const read = (text: string, file = 'body.yaml') => readApplied([{ file, text }])
const manifestsOf = (value: object) => read(JSON.stringify(value)).map(({ manifest }) => manifest)

const namespace = (name: string) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })

test('every resource is kept by itself, also those of a List', (t) => {
  const list = { apiVersion: 'v1', kind: 'List', items: [namespace('a'), namespace('b')] }
  const manifests = read(`${JSON.stringify(list)}\n---\n${JSON.stringify(namespace('c'))}`).map(({ manifest }) => manifest)
  t.deepEqual(manifests.map(({ name }) => name), ['a', 'b', 'c'])
  t.deepEqual(JSON.parse(manifests[1]?.text ?? ''), namespace('b'))
})

test('one fault refuses the whole body, with its place in the body', (t) => {
  const body = `apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {nam: b}\n`
  const error = t.throws(() => read(body), { instanceOf: InvalidManifestError })
  t.is(error?.code, 'INVALID_MANIFEST')
  t.true(error?.details.every(({ file, line }) => file === 'body.yaml' && line === 7))
})

test('a name that stands twice and an empty body are errors', (t) => {
  const twice = [namespace('a'), namespace('a')].map((each) => JSON.stringify(each)).join('\n---\n')
  t.throws(() => read(twice), { message: 'body.yaml:3:51: metadata.name: Namespace a stands twice; allowed: each name once for a kind; the other: body.yaml:1:1' })
  t.throws(() => read('# nothing'), { code: 'BAD_REQUEST' })
})

test('of each manifest it is said what applying it does', (t) => {
  const current = new Map([...manifestsOf(namespace('a')), ...manifestsOf(namespace('b'))].map((manifest) => [originName(manifest), manifest.text]))
  const labelled = { ...namespace('b'), metadata: { name: 'b', labels: { x: 'y' } } }
  const added = [...manifestsOf(namespace('a')), ...manifestsOf(labelled), ...manifestsOf(namespace('c'))]
  const actions = actionsOf(added, (name) => current.get(originName(name)))
  t.deepEqual(actions.map(({ name, action }) => `${name} ${action}`), ['a unchanged', 'b changed', 'c created'])
})

test('a change and its inverse lead back to what was', (t) => {
  const [a, b] = [...manifestsOf(namespace('a')), ...manifestsOf(namespace('b'))] as [AppliedManifest, AppliedManifest]
  const texts = new Map([[originName(a), 'old a'], [originName(b), b.text]])
  const inverse = inverseOf({ kept: [a, { ...a, name: 'new' }], forgotten: [b] }, (name) => texts.get(originName(name)))
  t.deepEqual(inverse.kept, [{ ...a, text: 'old a' }, b])
  t.deepEqual(inverse.forgotten.map(({ name }) => name), ['new'])
})

test('several files are one request, and each resource knows its own', (t) => {
  const ended = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'ended' }, status: { phase: 'Succeeded' } }
  const first = ['# a comment', JSON.stringify(namespace('a')), '---', JSON.stringify(ended), '---', ` ${JSON.stringify(namespace('b'))}`].join('\n')
  const files = [{ file: 'a.yaml', text: first }, { file: 'c.json', text: JSON.stringify(namespace('c')) }]
  const places = readApplied(files).map(({ manifest: { name }, document: { location: { file, line, column } } }) => `${name} ${file}:${line}:${column}`)
  t.deepEqual(places, ['a a.yaml:2:1', 'b a.yaml:6:2', 'c c.json:1:1'])
})

test("conflicts are told by the user's files; what was applied earlier has none any more", (t) => {
  const added = [...read(JSON.stringify(namespace('a')), 'a.yaml'), ...read(`\n${JSON.stringify(namespace('b'))}`, 'b.yaml')]
  const fault = { file: 'api:Namespace//b', line: 1, column: 1, path: 'metadata.name', message: 'clashes' }
  const others = [{ file: 'api:Namespace//a', line: 1 }, { file: 'api:Namespace//old', line: 1 }, { file: '/etc/sluice/c.yaml', line: 7 }]
  const told = inUsersFiles([...others.map((other) => ({ ...fault, other })), fault], added)
  for (const { file, line } of told) t.is(`${file}:${line}`, 'b.yaml:2')
  t.deepEqual(told.map(({ other }) => other), [{ file: 'a.yaml', line: 1, column: 1 }, { file: 'applied earlier' }, { file: '/etc/sluice/c.yaml', line: 7 }, undefined])
})

test('a conflict of a request stands at its own field', (t) => {
  const added = read(`apiVersion: sluice.io/v1\nkind: Workload\nmetadata: {name: a}\nspec:\n  interface: eth1\n  addresses: [10.0.0.1]\n`, 'a.yaml')
  const [told] = inUsersFiles([{ file: 'api:Workload/default/a', line: 1, column: 70, path: 'spec.addresses', message: 'clashes' }], added)
  t.like(told, { file: 'a.yaml', line: 6, column: 3 })
})

test('what was never applied cannot be deleted, and is told by its place', (t) => {
  const current = new Map(manifestsOf(namespace('a')).map((manifest) => [originName(manifest), manifest.text]))
  const textOf = (name: DocumentName) => current.get(originName(name))
  const known = read(JSON.stringify(namespace('a')))
  t.notThrows(() => checkKnown(known, textOf))
  const missing = read(`\n${JSON.stringify(namespace('d'))}`, 'd.yaml')
  t.throws(() => checkKnown([...known, ...missing], textOf), { code: 'NOT_FOUND', message: /^d\.yaml:2:1: Namespace d was not applied/ })
})
