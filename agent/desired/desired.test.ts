// What manifests become for the engine: nodes, workloads without labels, audit.
import test from 'ava'
import { EndpointFlags, HOST_IFINDEX, Identity } from '../../bpf/index.ts'
import { Compiler, counter, type DenyAnswer, type Document, parseDocuments } from '../../manifests/index.ts'
import type { Interface } from '../interfaces.ts'
import { Desired } from './desired.ts'
import type { Numbers } from './identities.ts'
import { Inputs } from './inputs.ts'
import { Retired } from '../retired.ts'
import { matchEndpoints } from '../endpoints.ts'
import type { EngineInput } from '../reconcilers/inputs.ts'

const LINK: Interface = {
  ifindex: 7, name: 'sl-web', mac: '02:00:00:00:00:02', kind: 'veth', vlan: undefined, up: true, peerIfindex: 2, peerName: undefined, peerNamespaceId: 0,
  addresses: [], xdpMode: undefined,
}
const UPLINK: Interface = { ...LINK, ifindex: 8, name: 'eth0', kind: undefined, addresses: ['192.168.0.1'] } as Interface

const SSH = { protocol: 6, first: 22, last: 22 } as const

function numbering(): Numbers & { readonly keys: Map<string, number> } {
  const keys = new Map<string, number>()
  return { keys, number: (space, key) => keys.get(`${space} ${key}`) ?? keys.set(`${space} ${key}`, 256 + keys.size).size + 255 }
}

const documentsOf = (text: string): readonly Document[] => {
  const { documents, errors } = parseDocuments(text, 'f.yaml')
  if (errors[0]) throw errors[0]
  return documents
}

async function setUp(text: string, denyAnswer: DenyAnswer = 'drop') {
  const numbers = numbering()
  const retired = new Retired()
  const desired = new Desired({ workloadRanges: [], denyAnswer, hostPolicy: 'enforce' }, numbers, retired)
  const compiler = new Compiler(counter(), [SSH])
  const inputs = new Inputs(desired.tables)
  const change = async (removed: readonly Document[], added: readonly Document[]): Promise<void> => {
    desired.change(compiler.change({ removed, added }))
    const links = [LINK, UPLINK]
    desired.setLocal(links, await matchEndpoints(compiler.cluster.workloads, links, { peerMac: async () => '02:00:00:00:00:01' }))
  }
  const documents = documentsOf(text)
  await change([], documents)
  return { desired, retired, numbers, inputs, change, documents }
}

async function inputsOf(text: string, denyAnswer: DenyAnswer = 'drop') {
  const { inputs } = await setUp(text, denyAnswer)
  return { inputs: inputs.changes().flatMap((change) => (change.operation === 'set' ? [change.input] : [])) }
}

const entries = <K extends EngineInput['input']>(inputs: readonly EngineInput[], kind: K) =>
  inputs.filter((input): input is Extract<EngineInput, { input: K }> => input.input === kind)

const workload = (metadata: string, more = ''): string => `
{apiVersion: sluice.io/v1, kind: Workload, metadata: ${metadata}, spec: {addresses: [10.0.0.1], interface: sl-web${more}}}
---`

test('the annotation of a workload or of its namespace sets the flag of its endpoint', async (t) => {
  const flags = async (text: string) => entries((await inputsOf(text)).inputs, 'endpoint')[0]?.entry.flags ?? 0
  const audited = '{name: web, annotations: {sluice.io/audit: "true"}}'
  const home = '{apiVersion: v1, kind: Namespace, metadata: {name: default, annotations: {sluice.io/audit: "true"}}}\n---'
  t.is((await flags(workload('{name: web}'))) & EndpointFlags.AUDIT, 0)
  t.is((await flags(workload(audited))) & EndpointFlags.AUDIT, EndpointFlags.AUDIT)
  t.is((await flags(`${home}${workload('{name: web}')}`)) & EndpointFlags.AUDIT, EndpointFlags.AUDIT)
})

test('a denial is answered as the workload says, else its namespace, else the node', async (t) => {
  const rejects = async (own: string, home: string, node: DenyAnswer) => {
    const annotations = (value: string) => (value === '' ? '' : `, annotations: {sluice.io/deny-answer: ${value}}`)
    const namespace = `{apiVersion: v1, kind: Namespace, metadata: {name: default${annotations(home)}}}\n---`
    const { inputs } = await inputsOf(`${namespace}${workload(`{name: web${annotations(own)}}`)}`, node)
    return ((entries(inputs, 'endpoint')[0]?.entry.flags ?? 0) & EndpointFlags.REJECT) !== 0
  }
  t.false(await rejects('', '', 'drop'))
  t.true(await rejects('', '', 'reject'))
  t.true(await rejects('', 'reject', 'drop'))
  t.true(await rejects('reject', 'drop', 'drop'))
  t.false(await rejects('drop', 'reject', 'reject'))
})

test('a policy of nodes makes this node an endpoint, whose SSH stays open', async (t) => {
  const policy = '{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: nodes}, spec: {nodeSelector: {}, ingressDeny: [{}]}}\n---'
  const { inputs } = await inputsOf(policy)
  t.like(entries(inputs, 'endpoint')[0]?.entry, { ifindex: HOST_IFINDEX, identity: Identity.HOST, flags: 0 })
  t.like(entries(inputs, 'policy').find(({ key }) => key === 'Default//host')?.policies[0], { tier: 'admin', rules: [{ action: 'allow', ports: [SSH] }] })
  t.is(entries((await inputsOf(policy, 'reject')).inputs, 'endpoint')[0]?.entry.flags, EndpointFlags.REJECT)
  const without = await inputsOf(workload('{name: web}'))
  t.false(entries(without.inputs, 'endpoint').some(({ entry }) => entry.ifindex === HOST_IFINDEX))
  t.deepEqual(entries(without.inputs, 'policy'), [])
})

test('a workload whose labels are not known has the reserved identity, and there is a policy that closes it', async (t) => {
  const { inputs } = await inputsOf(workload('{name: web}', ', init: true'))
  t.is(entries(inputs, 'endpoint')[0]?.entry.identity, Identity.INIT)
  t.deepEqual(entries(inputs, 'policy').map(({ key }) => key), ['Default//init'])
})

test('this node gives its labels to the host, another has an identity and addresses', async (t) => {
  const node = (name: string, address: string) =>
    `{apiVersion: v1, kind: Node, metadata: {name: ${name}, labels: {zone: ${name}}}, status: {addresses: [{type: InternalIP, address: ${address}}]}}\n---\n`
  const { inputs } = await inputsOf(`${node('here', '192.168.0.1')}${node('there', '192.168.0.2')}`)
  const labels = new Map(entries(inputs, 'identity').map(({ number, labels: own }) => [number, own]))
  t.deepEqual(labels.get(Identity.HOST), ['reserved:host=', 'node:zone=here'])
  const addresses = entries(inputs, 'address').map(({ entry }) => [[...entry.address.subarray(12)].join('.'), labels.get(entry.identity)])
  t.deepEqual(addresses, [['192.168.0.1', labels.get(Identity.HOST)], ['192.168.0.2', ['reserved:remote-node=', 'node:zone=there']]])
})

test('what two have in common is told once, and stays until the last of them goes', async (t) => {
  const remote = (name: string, address: string) => `{apiVersion: sluice.io/v1, kind: Workload, metadata: {name: ${name}, labels: {app: web}}, spec: {addresses: [${address}]}}\n---\n`
  const { desired, inputs, change, documents, retired } = await setUp(remote('a', '10.0.0.1') + remote('b', '10.0.0.2'))
  const tell = (): string[] => {
    const changes = inputs.changes().map(({ operation, input }) => `${operation} ${input.input}`)
    inputs.accepted()
    return changes
  }
  t.is(tell().filter((each) => each === 'set address').length, 3, 'two workloads and the node')
  await change(documents.slice(0, 1), [])
  t.deepEqual(tell(), ['remove address'])
  t.deepEqual(retired.keys, [])
  await change(documents.slice(1), [])
  t.deepEqual(tell(), ['remove address', 'remove identity'])
  const [[space] = []] = retired.keys
  t.is(space, 'identity')
  await change([], documents.slice(0, 1))
  t.deepEqual(tell(), ['set identity', 'set address'])
  t.deepEqual(retired.keys, [], 'its number is in use again')
  t.is(desired.numbersInUse.identity.size, 1)
})
