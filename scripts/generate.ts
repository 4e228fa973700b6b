// Writes the TypeScript and AssemblyScript views of bpf/types.h and bpf/maps.h, from the BTF that clang makes of them.
//
//   node scripts/generate.ts           writes bpf/layout.generated.ts and engine/assembly/records.generated.ts
//   node scripts/generate.ts --check   exits with 1 and names the file if one of them is not what it should be

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { readBtf } from '../loader/index.ts'
import { assemblyScriptSource } from './generate/assemblyscript.ts'
import { readModel } from './generate/model.ts'
import { typeScriptSource } from './generate/typescript.ts'

const ROOT = join(import.meta.dirname, '..')
const BPF = join(ROOT, 'bpf')
const CLANG = ['clang-19', '-target', 'bpf', '-g', '-O2', '-D__x86_64__', '-I/usr/include/x86_64-linux-gnu', '-I', BPF]

/** Contents of the generated files by their path from the project's root. */
export function generate(): Map<string, string> {
  const header = readFileSync(join(BPF, 'types.h'), 'utf8')
  const model = readModel(compile(probeSource(header)))
  return new Map([
    ['bpf/layout.generated.ts', typeScriptSource(model)],
    ['engine/assembly/records.generated.ts', assemblyScriptSource(model)]
  ])
}

/** Clang describes only what is used: one variable a record and enum, and an enum that holds the numeric macros. */
function probeSource(header: string): string {
  const names = (pattern: RegExp): string[] => Array.from(header.matchAll(pattern), (match) => match[1] ?? '')
  const variables = ['struct', 'enum'].flatMap((keyword) =>
    names(new RegExp(`^${keyword} (\\w+) \\{`, 'gm')).map((name) => `${keyword} ${name} probe_${keyword}_${name};`)
  )
  const constants = names(/^#define (\w+) \d/gm).map((name) => `\tconstant_${name} = ${name},`)
  return `#include "types.h"\n#include "maps.h"\n${variables.join('\n')}\nenum constants {\n${constants.join('\n')}\n} probe_constants;\n`
}

function compile(source: string): ReturnType<typeof readBtf> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-generate-'))
  try {
    const object = join(folder, 'probe.o')
    const [command = '', ...flags] = CLANG
    execFileSync(command, [...flags, '-x', 'c', '-c', '-', '-o', object], { input: source })
    return readBtf(object)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function isCurrent(path: string, text: string): boolean {
  try {
    return readFileSync(join(ROOT, path), 'utf8') === text
  } catch {
    return false
  }
}

function main(check: boolean): void {
  for (const [path, text] of generate()) {
    if (isCurrent(path, text)) continue
    if (check) {
      console.error(`${path} does not follow bpf/types.h and bpf/maps.h: run node scripts/generate.ts`)
      process.exitCode = 1
    } else {
      writeFileSync(join(ROOT, path), text)
      console.log(`wrote ${path}`)
    }
  }
}

if (import.meta.main) main(process.argv.includes('--check'))
