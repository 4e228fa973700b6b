// How large the programs are, and how much work the verifier had with them.

import { globSync } from 'node:fs'
import { basename } from 'node:path'

import { BpfObject } from '../../loader/index.ts'

export interface ProgramSize {
  /** Object and program: `tc_endpoint/from_endpoint`. */
  readonly program: string
  readonly instructions: number
  readonly jited_bytes: number
  readonly verified_instructions: number
}

export function programSizes(): ProgramSize[] {
  return globSync('build/bpf/*.bpf.o')
    .sort()
    .flatMap((path) => {
      using object = BpfObject.open(path).load()
      return object.programs.map(({ name, info }) => ({
        program: `${basename(path, '.bpf.o')}/${name}`,
        instructions: info.instructions,
        jited_bytes: info.jitedBytes,
        verified_instructions: info.verifiedInstructions
      }))
    })
}
