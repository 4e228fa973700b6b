// Hostile and broken texts: an error with its place, in bounded time and memory, whatever they hold.
import test from 'ava'
import fc from 'fast-check'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import { parseDocuments } from './index.ts'
import { tieredCluster, tieredDocuments } from './testing/tiers.ts'

const INDEX = new URL('index.ts', import.meta.url).href

/** Ten megabytes each, as an expression: they are made where they are read. */
const BOMBS: { readonly [title: string]: string } = {
  'one list': "'a:\\n' + '- {b: c}\\n'.repeat(1_100_000)",
  'one mapping': "Array.from({ length: 800_000 }, (_, i) => `k${i}: 1`).join('\\n')",
  'one key': "`{${`\"${'k'.repeat(57)}\": 1,`.repeat(160_000)}}`",
  'one mapping of one line': "'{' + Array.from({ length: 800_000 }, (_, i) => `\"k${i}\": 1`).join() + '}'",
  'a list that is never closed': "'['.repeat(50) + 'x,'.repeat(5_000_000)",
  'brackets': "'{a: '.repeat(2_500_000)",
  'documents': "'---\\n'.repeat(2_500_000)",
  'small documents': "'a: 1\\n---\\n'.repeat(1_100_000)",
  'comments': "'#\\n'.repeat(5_000_000)",
  'anchors': "Array.from({ length: 400_000 }, (_, i) => `a${i}: &a${i} {b: 1}`).join('\\n')",
}

/** What a process of its own needs for a text: seconds, megabytes at most, and the first error. */
async function measure(expression: string): Promise<{ seconds: number; megabytes: number; code?: string; line?: number; documents: number }> {
  const script = `
    import { parseDocuments } from ${JSON.stringify(INDEX)}
    const text = ${expression}
    const started = performance.now()
    const { documents, errors } = parseDocuments(text, 'bomb.yaml')
    const seconds = (performance.now() - started) / 1000
    const megabytes = process.resourceUsage().maxRSS / 1024
    console.log(JSON.stringify({ seconds, megabytes, code: errors.at(-1)?.code, line: errors.at(-1)?.line, documents: documents.length }))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { timeout: 120_000 })
  return JSON.parse(stdout) as Awaited<ReturnType<typeof measure>>
}

for (const [title, expression] of Object.entries(BOMBS)) {
  test.serial(`ten megabytes of ${title} end in an error, soon and small`, async (t) => {
    const { seconds, megabytes, code, line, documents } = await measure(expression)
    t.is(documents, 0)
    t.true(['LIMIT', 'SYNTAX', 'MISSING_FIELD'].includes(code ?? ''), code)
    t.true((line ?? 0) > 0)
    t.true(seconds < 30, `${seconds.toFixed(1)} s`)
    t.true(megabytes < 700, `${megabytes.toFixed(0)} MB`)
  })
}

test('ten thousand policies in one file are read', async (t) => {
  const policy = "`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p${i}}, spec: {ingress: [{ports: [{port: 80}]}]}}\\n---\\n`"
  const { documents, code, megabytes } = await measure(`Array.from({ length: 10_000 }, (_, i) => ${policy}).join('')`)
  t.is(code, undefined)
  t.is(documents, 10_000)
  t.true(megabytes < 700, `${megabytes.toFixed(0)} MB`)
})

const text = tieredCluster.map((all) => tieredDocuments(all).map((document) => stringify(document)).join('---\n'))

/** A text that was cut, or in which some characters were replaced, removed or doubled. */
const broken = fc.tuple(text, fc.array(fc.tuple(fc.nat(), fc.constantFrom('', '\t', '  ', ':', '- ', '{', '}', '[', '"', "'", '&a ', '*a', '!!binary ', '\0', '%', '---\n', '😀')), { minLength: 1, maxLength: 4 }), fc.nat())
  .map(([whole, edits, cut]) => {
    const shortened = cut % 2 === 0 ? whole.slice(0, cut % (whole.length + 1)) : whole
    return edits.reduce((current, [at, insertion]) => {
      const index = at % (current.length + 1)
      return current.slice(0, index) + insertion + current.slice(index + 1)
    }, shortened)
  })

test('no text makes the reader throw, and every fault has a file, a line and a sentence', (t) => {
  let faults = 0
  const property = fc.property(broken, (damaged) => {
    for (const error of parseDocuments(damaged, 'broken.yaml').errors) {
      faults++
      t.is(error.file, 'broken.yaml')
      t.true(error.line > 0 && error.line <= damaged.split('\n').length, error.message)
      t.true(error.problem.length > 0)
    }
  })
  fc.assert(property, { numRuns: 1000 })
  t.true(faults > 1000, `${faults} faults`)
})

test('a document in braces that is cut off anywhere is no document', (t) => {
  const whole = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: demo}
spec: {endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEndpoints: [{matchLabels: {app: client}}], toPorts: [{ports: [{port: "80"}]}]}]}`
  const read = [...whole].map((_, end) => parseDocuments(whole.slice(0, end), 'cut.yaml')).filter(({ documents }) => documents.length > 0)
  t.deepEqual(read, [])
})
