import test from 'ava'
import { counter } from '../../manifests/index.ts'
import { ManifestParser, type Origin, resolve } from './manifests.ts'

const workload = (name: string, address: string) => `
apiVersion: sluice.io/v1
kind: Workload
metadata: {name: ${name}, namespace: demo}
spec: {addresses: [${address}]}
`

function origin(name: string, text: string, lastGood?: string): Origin {
  return { name, content: { text }, lastGood }
}

function names(origins: readonly Origin[]) {
  const { cluster, problems } = resolve(origins, new ManifestParser(), { numberOf: counter() })
  return { workloads: cluster.workloads.map(({ name }) => name).sort(), problems }
}

test('files without faults hold together', (t) => {
  const { workloads, problems } = names([origin('a.yaml', workload('a', '10.0.0.1')), origin('b.yaml', workload('b', '10.0.0.2'))])
  t.deepEqual(workloads, ['a', 'b'])
  t.deepEqual(problems, [])
})

test('of a file with a fault the last good version holds, and the problem says where', (t) => {
  const bad = workload('a', '10.0.0.1').replace('spec:', 'spek:')
  const { workloads, problems } = names([
    origin('a.yaml', bad, workload('a', '10.0.0.1')),
    origin('b.yaml', workload('b', '10.0.0.2')),
  ])
  t.deepEqual(workloads, ['a', 'b'])
  t.is(problems.length, 1)
  t.like(problems[0], { name: 'a.yaml', lastGood: true })
  t.truthy(problems[0]?.details.some(({ line, message }) => line === 5 && /spek|unknown/.test(message)))
})

test('a new file with a fault has no effect at all, also not its documents without fault', (t) => {
  const half = `${workload('good', '10.0.0.1')}---\n${workload('bad', 'not-an-address')}`
  const { workloads, problems } = names([origin('a.yaml', half)])
  t.deepEqual(workloads, [])
  t.like(problems[0], { name: 'a.yaml', lastGood: false })
})

test('a file that was cut off keeps its last good version, an empty one that never held anything is no problem', (t) => {
  const { workloads, problems } = names([origin('a.yaml', '# gone\n', workload('a', '10.0.0.1')), origin('b.yaml', '', '')])
  t.deepEqual(workloads, ['a'])
  t.is(problems.length, 1)
  t.like(problems[0], { name: 'a.yaml', lastGood: true })
  t.regex(problems[0]?.details[0]?.message ?? '', /delete the file/)
})

test('a file that cannot be read keeps its last good version', (t) => {
  const { workloads, problems } = names([
    { name: 'a.yaml', content: { error: 'EACCES' }, lastGood: workload('a', '10.0.0.1') },
  ])
  t.deepEqual(workloads, ['a'])
  t.is(problems[0]?.details[0]?.message, 'EACCES')
})

test('of two files with the same name the one that was there first holds, whatever the order of paths', (t) => {
  const old = workload('same', '10.0.0.2')
  const { workloads, problems } = names([
    origin('a.yaml', workload('same', '10.0.0.1')),
    origin('z.yaml', old, old),
  ])
  t.deepEqual(workloads, ['same'])
  t.deepEqual(problems.map(({ name }) => name), ['a.yaml'])
  t.is(problems[0]?.details[0]?.other?.file, 'z.yaml')
})

test('a change that takes another file\'s address falls back to what it was', (t) => {
  const a = workload('a', '10.0.0.1')
  const b = workload('b', '10.0.0.2')
  const { cluster, problems } = resolve(
    [origin('a.yaml', workload('a', '10.0.0.2'), a), origin('b.yaml', b, b)],
    new ManifestParser(),
    { numberOf: counter() },
  )
  t.deepEqual(cluster.workloads.find(({ name }) => name === 'a')?.addresses, ['10.0.0.1'])
  t.like(problems[0], { name: 'a.yaml', lastGood: true })
})

test('the parser parses a text once', (t) => {
  const parser = new ManifestParser()
  const first = parser.parse(workload('a', '10.0.0.1'), 'a.yaml')
  parser.sweep()
  t.is(parser.parse(workload('a', '10.0.0.1'), 'a.yaml'), first)
  parser.sweep()
  parser.sweep()
  t.not(parser.parse(workload('a', '10.0.0.1'), 'a.yaml'), first)
})
