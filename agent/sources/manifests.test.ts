import test from 'ava'
import type { Document } from '../../manifests/index.ts'
import type { FileContent } from './folder.ts'
import { Manifests } from './manifests.ts'

const workload = (name: string, address: string) => `
apiVersion: sluice.io/v1
kind: Workload
metadata: {name: ${name}, namespace: demo}
spec: {addresses: [${address}]}
`

interface Origin {
  readonly name: string
  readonly content: FileContent
  readonly lastGood?: string
}

function origin(name: string, text: string, lastGood?: string): Origin {
  return { name, content: { text }, ...(lastGood !== undefined && { lastGood }) }
}

/** Manifests, and the documents that hold, as changes tell of them. */
function setUp(origins: readonly Origin[]) {
  const manifests = new Manifests(new Map(origins.flatMap(({ name, lastGood }) => (lastGood === undefined ? [] : [[name, lastGood] as const]))))
  const holding = new Set<Document>()
  const change = (changes: Parameters<Manifests['change']>[0]): void => {
    const { removed, added } = manifests.change(changes)
    for (const document of removed) holding.delete(document)
    for (const document of added) holding.add(document)
  }
  change(origins)
  return { manifests, change, workloads: () => [...holding].map(({ resource }) => resource).sort((a, b) => (a.name < b.name ? -1 : 1)) }
}

function names(origins: readonly Origin[]) {
  const { manifests, workloads } = setUp(origins)
  return { workloads: workloads().map(({ name }) => name), problems: manifests.problems }
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

test("a change that takes another file's address falls back to what it was", (t) => {
  const a = workload('a', '10.0.0.1')
  const b = workload('b', '10.0.0.2')
  const { manifests, workloads } = setUp([origin('a.yaml', workload('a', '10.0.0.2'), a), origin('b.yaml', b, b)])
  t.like(workloads()[0], { name: 'a', addresses: ['10.0.0.1'] })
  t.like(manifests.problems[0], { name: 'a.yaml', lastGood: true })
})

test('what was refused for another one holds once that is gone', (t) => {
  const { manifests, change, workloads } = setUp([origin('a.yaml', workload('same', '10.0.0.1'))])
  change([origin('b.yaml', workload('same', '10.0.0.2'))])
  t.deepEqual(manifests.problems.map(({ name }) => name), ['b.yaml'])
  change([{ name: 'a.yaml', content: undefined }])
  t.like(workloads()[0], { addresses: ['10.0.0.2'] })
  t.deepEqual(manifests.problems, [])
})

test('two files may exchange their addresses at once', (t) => {
  const { manifests, change, workloads } = setUp([origin('a.yaml', workload('a', '10.0.0.1')), origin('b.yaml', workload('b', '10.0.0.2'))])
  change([origin('a.yaml', workload('a', '10.0.0.2')), origin('b.yaml', workload('b', '10.0.0.1'))])
  t.deepEqual(workloads().map((each) => ('addresses' in each ? each.addresses : [])), [['10.0.0.2'], ['10.0.0.1']])
  t.deepEqual(manifests.problems, [])
})

test('a text becomes the last good one when it is settled, and its file forgotten with it', (t) => {
  const { manifests, change, workloads } = setUp([origin('a.yaml', workload('a', '10.0.0.1'))])
  const texts = manifests.takeUnsettled()
  t.deepEqual(manifests.settle(texts), texts)
  t.deepEqual(manifests.settle(texts), [], 'nothing new')
  change([origin('a.yaml', 'kind: nonsense')])
  t.deepEqual(workloads().map(({ name }) => name), ['a'])
  t.deepEqual(manifests.settle(manifests.takeUnsettled()), [], 'what holds is what held')
  change([{ name: 'a.yaml', content: undefined }])
  t.deepEqual(manifests.settle(manifests.takeUnsettled()), [{ name: 'a.yaml', text: undefined }])
})

test('a change gives what became of its documents, and nothing of others', (t) => {
  const { manifests } = setUp([origin('a.yaml', workload('a', '10.0.0.1')), origin('b.yaml', workload('b', '10.0.0.2'))])
  t.deepEqual(manifests.change([origin('b.yaml', workload('b', '10.0.0.2'))]), { removed: [], added: [] }, 'the same again')
  const { removed, added } = manifests.change([origin('b.yaml', workload('c', '10.0.0.2'))])
  t.deepEqual([removed, added].map((documents) => documents.map(({ resource }) => resource.name)), [['b'], ['c']])
})

test('what holds by its last good version goes before newcomers, after a restart too', (t) => {
  const old = workload('z', '10.0.0.1')
  const { workloads, problems } = names([origin('a.yaml', workload('a', '10.0.0.1')), origin('z.yaml', 'kind: nonsense', old)])
  t.deepEqual(workloads, ['z'])
  t.deepEqual(problems.map(({ name, lastGood }) => [name, lastGood]).sort(), [['a.yaml', false], ['z.yaml', true]])
})

test('so does what falls back because its new version contradicts another', (t) => {
  const [s, z] = [workload('s', '10.0.0.9'), workload('z', '10.0.0.1')]
  const { manifests, workloads } = setUp([origin('a.yaml', workload('a', '10.0.0.1')), origin('s.yaml', s, s), origin('z.yaml', workload('z', '10.0.0.9'), z)])
  t.deepEqual(workloads().map(({ name }) => name), ['s', 'z'])
  t.like(workloads()[1], { addresses: ['10.0.0.1'] })
  t.deepEqual(manifests.problems.map(({ name, lastGood }) => [name, lastGood]).sort(), [['a.yaml', false], ['z.yaml', true]])
  t.regex(manifests.problems.find(({ name }) => name === 'z.yaml')?.details[0]?.message ?? '', /10\.0\.0\.9/)
})
