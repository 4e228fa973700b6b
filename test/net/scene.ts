import { setTimeout as sleep } from 'node:timers/promises'
import type { Agent } from '../../lab/index.ts'

export async function kill(agent: Agent): Promise<void> {
  agent.service.kill('SIGKILL')
  while (agent.service.isAlive) await sleep(10)
}
