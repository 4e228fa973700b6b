import test from 'ava'
import { InvalidManifestError, mergeApplied, readApplied } from './applied.ts'

const namespace = (name: string) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })

test('every resource is kept by itself, also those of a List', (t) => {
  const list = { apiVersion: 'v1', kind: 'List', items: [namespace('a'), namespace('b')] }
  const manifests = readApplied(`${JSON.stringify(list)}\n---\n${JSON.stringify(namespace('c'))}`, 'body')
  t.deepEqual(manifests.map(({ name }) => name), ['a', 'b', 'c'])
  t.deepEqual(JSON.parse(manifests[1]?.text ?? ''), namespace('b'))
})

test('one fault refuses the whole body, with its place in the body', (t) => {
  const body = `apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {nam: b}\n`
  const error = t.throws(() => readApplied(body, 'body.yaml'), { instanceOf: InvalidManifestError })
  t.is(error?.code, 'INVALID_MANIFEST')
  t.true(error?.details.every(({ file, line }) => file === 'body.yaml' && line === 7))
})

test('a name that stands twice and an empty body are errors', (t) => {
  const twice = [namespace('a'), namespace('a')].map((each) => JSON.stringify(each)).join('\n---\n')
  t.throws(() => readApplied(twice, 'body'), { message: /twice/ })
  t.throws(() => readApplied('# nothing', 'body'), { code: 'BAD_REQUEST' })
})

test('merging says what it did', (t) => {
  const read = (text: object) => readApplied(JSON.stringify(text), 'body')
  const current = [...read(namespace('a')), ...read(namespace('b'))]
  const labelled = { ...namespace('b'), metadata: { name: 'b', labels: { x: 'y' } } }
  const { merged, actions } = mergeApplied(current, [...read(namespace('a')), ...read(labelled), ...read(namespace('c'))])
  t.deepEqual(actions.map(({ name, action }) => `${name} ${action}`), ['a unchanged', 'b changed', 'c created'])
  t.deepEqual(merged.map(({ name }) => name), ['a', 'b', 'c'])
})
