// Audit, workloads without labels, and what is not enforced as written: on real packets and in the agent's answers.
import type { ExecutionContext } from 'ava'
import type { Status } from '../../agent/api/types.ts'
import type { Flow } from '../../observe/index.ts'
import { type Agent, Lab, type Outcome, type Workload } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'

interface Pair {
  readonly agent: Agent
  readonly server: Workload
  readonly client: Workload
}

async function pair(lab: Lab): Promise<Pair> {
  const node = await lab.addNode('n1')
  const [server, client] = await Promise.all([
    node.addWorkload({ name: 'server', number: 11, labels: { app: 'server' } }),
    node.addWorkload({ name: 'client', number: 12, labels: { app: 'client' } }),
  ])
  const [agent] = await Promise.all([node.startAgent(), server.serve('tcp:80')])
  await agent.apply(server.manifest(), client.manifest())
  return { agent, server, client }
}

async function expectOutcome(t: ExecutionContext, { server, client }: Pair, outcome: Outcome): Promise<void> {
  for (const address of Object.values(server.addresses) as string[]) {
    t.is((await client.request({ address, port: 80, timeoutMs: outcome === 'answered' ? 2000 : 400 })).outcome, outcome, address)
  }
}

const AUDIT = { 'sluice.io/audit': 'true' }

/** Lets nobody in. */
const closed = (annotations: object = {}): object => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'closed', namespace: 'default', annotations },
  spec: { podSelector: { matchLabels: { app: 'server' } } },
})

/** A document with more in its metadata. */
const annotated = (document: object, annotations: object): object => {
  const { metadata } = document as { metadata: object }
  return { ...document, metadata: { ...metadata, annotations } }
}

const DEFAULT_DENY = 'NetworkPolicy default/closed ingress (default deny)'

kernelTest('a policy, a workload and a namespace in audit mode let pass what they would drop, and name the rule', async (t) => {
  await using lab = await Lab.create()
  const all = await pair(lab)
  const { agent, server } = all
  const audited = async () => (await agent.lines<Flow>('/v1/flows?last=100&verdict=audited')).filter(({ policy }) => policy === DEFAULT_DENY).length
  await agent.apply(closed())
  await expectOutcome(t, all, 'timeout')
  const changes = [
    [closed(AUDIT), closed()],
    [annotated(server.manifest(), AUDIT), server.manifest()],
    [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default', annotations: AUDIT } }, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } }],
  ] as const
  for (const [on, off] of changes) {
    const before = await audited()
    await agent.apply(on)
    await expectOutcome(t, all, 'answered')
    t.true((await audited()) > before)
    await agent.apply(off)
    await expectOutcome(t, all, 'timeout')
  }
})

kernelTest('a workload without labels is closed until it has them', async (t) => {
  await using lab = await Lab.create()
  const all = await pair(lab)
  const { agent, server } = all
  const manifest = server.manifest() as { metadata: { labels?: object }; spec: object }
  const { labels: _, ...metadata } = manifest.metadata
  await agent.apply({ ...manifest, metadata, spec: { ...manifest.spec, init: true } })
  await expectOutcome(t, all, 'timeout')
  const dropped = await agent.lines<Flow>('/v1/flows?last=100&verdict=dropped')
  t.true(dropped.some(({ policy }) => policy === 'Default init ingress (default deny)'))
  await agent.apply(manifest)
  await expectOutcome(t, all, 'answered')
})

kernelTest('what is not enforced as written degrades the status', async (t) => {
  await using lab = await Lab.create()
  const { agent } = await pair(lab)
  await agent.apply({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: 'names', namespace: 'default' },
    spec: { endpointSelector: { matchLabels: { app: 'client' } }, egress: [{ toFQDNs: [{ matchName: 'a.example' }] }] },
  })
  const { degraded, parts } = await agent.get<Status>('/v1/status')
  t.is(parts['policy']?.state, 'degraded')
  t.true(degraded.some(({ what, why }) => what === 'policy CiliumNetworkPolicy default/names' && why.endsWith('spec.egress[0].toFQDNs[0]: domain names are not resolved yet')))
})
