// Runs the tests given, or all, and ends with the line `N passed, M failed[, K skipped]`. Tests that need the kernel
// share two cores, namespaces and bpffs, so they run one file at a time after the others. What they leave behind on
// the machine is a failure.
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { missingPrivilege, removeLab } from '../lab/index.ts'
import { labsLeft, machineState, runVariable, whatIsLeft } from './leaks.ts'
import { TapReader, type Tally } from './tap.ts'

const ava = 'node_modules/ava/entrypoints/cli.js'
const run = randomUUID()
const total: Tally = { passed: 0, failed: 0, skipped: 0 }

function testFiles(): string[] {
  const folders = ['node_modules', 'build']
  return globSync('**/*.test.ts', { exclude: (path) => folders.includes(path) }).sort()
}

/** Test files that declare kernel tests do it through test/helpers. */
function needsKernel(file: string): boolean {
  return /from '[./]*helpers\/index\.ts'|from '[./]*test\/helpers\/index\.ts'/.test(readFileSync(file, 'utf8'))
}

async function runAva(files: readonly string[], ...options: string[]): Promise<void> {
  if (files.length === 0) return
  const child = spawn(process.execPath, [ava, '--tap', ...options, ...files], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, [runVariable]: run },
  })
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve))
  const reader = new TapReader()
  for await (const line of createInterface({ input: child.stdout })) show(reader.read(line))
  show(reader.end(await exited))
  for (const count of ['passed', 'failed', 'skipped'] as const) total[count] += reader.tally[count]
}

function show(line: string | undefined): void {
  if (line !== undefined) console.log(line)
}

function fail(what: string): void {
  total.failed++
  console.log(`not ok - ${what}`)
}

const files = process.argv.length > 2 ? process.argv.slice(2) : testFiles()
const unknown = files.filter((file) => !existsSync(file))
if (unknown.length > 0) {
  console.error(`test: no such file: ${unknown.join(', ')}`)
  process.exit(2)
}
const kernelFiles = files.filter(needsKernel)
const before = machineState()
await runAva(files.filter((file) => !kernelFiles.includes(file)))
await runAva(kernelFiles, '--serial', '--concurrency', '1')

for (const leak of whatIsLeft(before, run)) fail(`left behind by a test: ${leak}`)
for (const lab of labsLeft(run)) await removeLab(lab)
const missing = missingPrivilege()
if (missing !== undefined && process.env['CI'] === 'true') fail(`CI must be able to run kernel tests: ${missing}`)
if (missing !== undefined) console.log(`# tests that need the kernel did not run: ${missing}`)
if (total.passed + total.failed === 0) fail('no test ran')

const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ''
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`)
process.exitCode = total.failed > 0 ? 1 : 0
