// `sluice policy matrix|verdict|explain`: answers from manifests alone, without root or an agent.
import type { Command } from 'commander'
import { group } from '../output.ts'

export function register(program: Command): void {
  group(program, 'policy', 'policies: what they decide and why')
}
