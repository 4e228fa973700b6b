// A node whose server lets one of two clients in, by manifests in a folder: what tests of the agent's own life start from.
import type { ExecutionContext } from 'ava'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Agent, Lab, Node, Outcome, Workload } from '../../lab/index.ts'
import { ManifestFolder } from './manifest-folder.ts'
import { apps, ciliumPolicy } from './policies.ts'

export interface Scene {
  readonly node: Node
  readonly folder: ManifestFolder
  readonly server: Workload
  readonly friend: Workload
  readonly stranger: Workload
}

/** The policy `server` lets `friend` reach the workload `server` and nobody else. No agent runs yet. */
export async function makeScene(lab: Lab): Promise<Scene> {
  const node = await lab.addNode('n1')
  const workload = (name: string, number: number) => node.addWorkload({ name, number, labels: { app: name } })
  const [server, friend, stranger] = await Promise.all([workload('server', 11), workload('friend', 12), workload('stranger', 13)])
  const folder = new ManifestFolder(join(node.stateFolder, 'manifests'))
  for (const each of [server, friend, stranger]) folder.write(each.name, each.manifest())
  folder.write('policy', ciliumPolicy('server', 'server', { ingress: [{ fromEndpoints: apps('friend') }] }))
  await server.serve('tcp:80')
  return { node, folder, server, friend, stranger }
}

export async function kill(agent: Agent): Promise<void> {
  agent.service.kill('SIGKILL')
  while (agent.service.isAlive) await sleep(10)
}

export async function outcome(from: Workload, to: Workload): Promise<Outcome> {
  return (await from.request({ address: to.addresses.ipv4, port: 80, timeoutMs: 400 })).outcome
}

export async function isEnforced(t: ExecutionContext, { server, friend, stranger }: Scene, when: string): Promise<void> {
  t.is(await outcome(friend, server), 'answered', `friend, ${when}`)
  t.is(await outcome(stranger, server), 'timeout', `stranger, ${when}`)
}
