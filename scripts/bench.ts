// Runs the benchmarks given by name, or all of bench/*.ts, one after the other. Each prints JSON lines on standard
// output and may explain itself on standard error; `npm run -s bench` thus prints JSON lines and nothing else.
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { basename } from 'node:path'

/** Helpers of the benchmarks have no benchmark of their own: they stand in folders below bench/. */
const all = globSync('bench/*.ts').filter((file) => !file.endsWith('.test.ts')).sort()
const names = process.argv.slice(2)
const unknown = names.filter((name) => !all.some((file) => basename(file, '.ts') === name))
if (unknown.length > 0) {
  const known = all.map((file) => basename(file, '.ts')).join(', ')
  console.error(`bench: no benchmark ${unknown.join(', ')}; there are: ${known}`)
  process.exit(2)
}

const chosen = names.length > 0 ? all.filter((file) => names.includes(basename(file, '.ts'))) : all
let failed = 0
for (const file of chosen) {
  const { status } = spawnSync(process.execPath, [file], { stdio: 'inherit' })
  if (status !== 0) {
    failed++
    console.error(`bench: ${file} ended with status ${status}`)
  }
}
if (chosen.length === 0) console.error('bench: there are no benchmarks in bench/')
process.exitCode = failed > 0 || chosen.length === 0 ? 1 : 0
