// `sluice lb`: the XDP load balancer.
import type { Command } from 'commander'
import { group } from '../command.ts'
import * as list from './list.ts'
import * as simulate from './simulate.ts'

export function register(program: Command): void {
  const lb = group(program, 'lb', 'the XDP load balancer')
  for (const command of [list, simulate]) command.register(lb)
}
