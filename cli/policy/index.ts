// `sluice policy`: answers from manifests alone, without root or an agent.
import type { Command } from 'commander'
import { group } from '../command.ts'
import * as diff from './diff.ts'
import * as explain from './explain.ts'
import * as lint from './lint.ts'
import * as matrix from './matrix.ts'
import * as suggest from './suggest.ts'
import * as test from './test.ts'
import * as verdict from './verdict.ts'

export function register(program: Command): void {
  const policy = group(program, 'policy', 'policies: what they decide and why')
  for (const command of [matrix, verdict, explain, test, diff, lint, suggest]) command.register(policy)
}
