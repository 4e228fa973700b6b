// One record, three languages: the BTF of every built object, the TypeScript layouts and the AssemblyScript constants
// agree, and all generated files are what bpf/types.h makes of them now.

import { globSync, readFileSync } from 'node:fs'

import test from 'ava'

import { mapSpecs, records } from '../../bpf/index.ts'
import * as assemblyScript from '../../engine/assembly/records.generated.ts'
import { readBtf, readMapSpecs } from '../../loader/index.ts'
import type { Btf } from '../../loader/index.ts'
import { generate } from '../../scripts/generate.ts'
import { readRecord } from '../../scripts/generate/model.ts'

/** Programs without a map share no record. */
const OBJECTS = globSync('build/bpf/*.bpf.o').filter((path) => readMapSpecs(readBtf(path)).length > 0)
const constants: Readonly<Record<string, number>> = assemblyScript

test('there are objects to compare', (t) => {
  t.true(OBJECTS.length > 0, 'run sh scripts/build')
})

for (const [path, text] of clangIsMissing() ? [] : generate()) {
  test(`${path} is what bpf/types.h and bpf/maps.h make of it`, (t) => {
    t.is(readFileSync(path, 'utf8'), text, 'run node scripts/generate.ts')
  })
}

for (const object of OBJECTS) {
  test(`${object}: records have the layout of TypeScript and AssemblyScript`, (t) => {
    const btf = readBtf(object)
    const shared = Object.keys(records).filter((name) => btf.find('struct', name) !== undefined)
    t.true(shared.length > 0, 'the object uses no shared record')
    for (const name of shared) t.deepEqual(fromBtf(btf, name), fromTypeScript(name as keyof typeof records))
    for (const name of shared) checkAssemblyScript(t.is, btf, name)
  })

  test(`${object}: maps are those of bpf/maps.h`, (t) => {
    for (const { name, ...spec } of readMapSpecs(readBtf(object)).filter((each) => each.name in mapSpecs)) {
      const { type: _, ...expected } = mapSpecs[name as keyof typeof mapSpecs]
      t.like(spec, expected, name)
    }
  })
}

type Shape = readonly [size: number, ...fields: readonly (readonly [offset: number, size: number, kind: string])[]]

function fromBtf(btf: Btf, name: string): Shape {
  const struct = btf.find('struct', name)
  if (struct === undefined) throw new Error(`no struct ${name}`)
  const { size, fields } = readRecord(btf, struct)
  return [size, ...fields.map((field) => [field.offset, field.size, field.kind] as const)]
}

function fromTypeScript(name: keyof typeof records): Shape {
  const { size, fields } = records[name]
  return [size, ...fields.map((field) => [field.offset, field.size, field.kind] as const)]
}

function checkAssemblyScript(is: (actual: unknown, expected: unknown, message: string) => unknown, btf: Btf, name: string): void {
  const struct = btf.find('struct', name)
  const prefix = name.toUpperCase()
  is(constants[`${prefix}_SIZE`], struct?.size, `${prefix}_SIZE`)
  for (const member of struct?.members.filter((each) => !each.name.startsWith('pad')) ?? []) {
    const constant = `${prefix}_${member.name.toUpperCase()}_OFFSET`
    is(constants[constant], member.offsetBits / 8, constant)
  }
}

/** Where no compiler is (`npm test` without root and set-up) the built objects are still compared. */
function clangIsMissing(): boolean {
  return !(process.env['PATH'] ?? '').split(':').some((folder) => globSync(`${folder}/clang-19`).length > 0)
}
