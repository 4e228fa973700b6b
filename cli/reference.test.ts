import test from 'ava'
import { readFileSync } from 'node:fs'
import { buildProgram } from './program.ts'
import { reference, REFERENCE_FILE } from './reference.ts'

test('docs/cli.md is what the commands say (else: node cli/reference.ts)', (t) => {
  t.is(readFileSync(REFERENCE_FILE, 'utf8'), reference(buildProgram()))
})

test('every command teaches with examples', (t) => {
  const sections = reference(buildProgram()).split('\n## ').slice(1)
  const mute = sections.filter((section) => !section.includes('\nExamples:\n')).map((section) => section.split('\n')[0])
  t.deepEqual(mute, [])
  t.true(sections.length >= 18, `${sections.length} commands`)
})
