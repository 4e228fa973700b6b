// "Allow A, deny B" is replaced by "deny A, allow B" under continuous probes: no probe sees both rules or neither.
//
// A and B are two workloads, with an interface each, in one namespace, so that one thread can send from both in turns.
// The kernel decides such probes in the order in which they are sent (alternate.ts), so every single one tells which of
// the two policies it saw: an A that came saw the first, a B that came the second, an A that did not come the second, a
// B that did not the first. If a change is atomic, the policy seen changes exactly once for each replacement; a moment
// with both rules or with neither would show as A and B telling different things in turns.
import type { ExecutionContext } from 'ava'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Agent, gateway, type Host, inNamespace, Lab, labVariable, type Workload } from '../../lab/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { apps, ciliumPolicy } from './policies.ts'

const replacements = 40
const pauseMs = 60
const settleMs = 200 // Until the recorder has read what came.
const port = 7100
const leastProbesPerMs = 1

const allowOne = (allowed: string, denied: string) =>
  ciliumPolicy('server', 'server', { ingress: [{ fromEndpoints: apps(allowed) }], ingressDeny: [{ fromEndpoints: apps(denied) }] })

/** A script of traffic/ that prints `ready`, and its result when its standard input ends. */
class Script {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #lines: AsyncIterator<string>

  private constructor(lab: Lab, host: Host, command: readonly string[]) {
    const [file = '', ...args] = inNamespace(host.namespace, command)
    this.#child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, [labVariable]: lab.name } })
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  static async start(lab: Lab, host: Host, prefix: readonly string[], name: string, ...args: string[]): Promise<Script> {
    const script = new Script(lab, host, [...prefix, process.execPath, join(import.meta.dirname, 'traffic', name), ...args])
    await script.#lines.next()
    return script
  }

  async finish<Result>(): Promise<Result> {
    this.#child.stdin.end()
    const { value } = await this.#lines.next()
    if (this.#child.exitCode === null) await once(this.#child, 'close')
    return JSON.parse(value) as Result
  }
}

/** Takes `second`'s own side of its link into the namespace of `first`, with routes for what it sends. */
async function moveInto(first: Workload, second: Workload): Promise<void> {
  const { ipv4, ipv6 } = second.addresses
  await second.ip(`link set eth0 netns ${first.namespace} name eth1`)
  await first.ip(
    'link set eth1 up',
    `address add ${ipv4}/32 dev eth1`,
    `address add ${ipv6}/128 dev eth1 nodad`,
    `rule add from ${ipv4} table 100`,
    `route add default via ${gateway.ipv4} dev eth1 onlink table 100`,
    `route add default via ${gateway.ipv6} dev eth1 onlink table 100`,
  )
  await first.run(['ip', '-6', 'rule', 'add', 'from', ipv6, 'table', '100']) // A batch takes rules of IPv4 alone.
}

type Replace = (agent: Agent, allowed: string, denied: string) => Promise<void>

async function replaceAgainAndAgain(agent: Agent, replace: Replace): Promise<void> {
  for (let count = 1; count <= replacements; count++) {
    await sleep(pauseMs)
    await (count % 2 === 1 ? replace(agent, 'b', 'a') : replace(agent, 'a', 'b'))
  }
  await sleep(pauseMs)
}

/** Whether probe `number` saw the policy that allows A: A's numbers are even. */
function sawFirst(number: number, came: ReadonlySet<number>): boolean {
  return (number % 2 === 0) === came.has(number)
}

function changesSeen(sent: number, came: ReadonlySet<number>): number[] {
  const numbers = Array.from({ length: sent - 1 }, (_, index) => index + 1)
  return numbers.filter((number) => sawFirst(number, came) !== sawFirst(number - 1, came))
}

/** The numbers of the probes that saw another policy than the probe before. */
async function probeReplacements(t: ExecutionContext, replace: Replace): Promise<number[]> {
  await using lab = await Lab.create()
  const node = await lab.addNode('n1')
  const [server, a, b] = await Promise.all(['server', 'a', 'b'].map((name, index) =>
    node.addWorkload({ name, number: 11 + index, labels: { app: name } })) as [Promise<Workload>, Promise<Workload>, Promise<Workload>])
  await moveInto(a, b)
  const agent = await node.startAgent()
  await agent.apply(server.manifest(), a.manifest(), b.manifest(), allowOne('a', 'b'))
  const recorder = await Script.start(lab, server, [], 'record.ts', String(port))
  const ways = (['ipv4', 'ipv6'] as const).flatMap((family) => [a, b].map((from) => `${from.addresses[family]},${server.addresses[family]}`))
  const began = performance.now()
  const sender = await Script.start(lab, a, ['taskset', '-c', '0'], 'alternate.ts', String(port), ...ways)
  await replaceAgainAndAgain(agent, replace)
  const sent = await sender.finish<number>()
  const tookMs = performance.now() - began
  await sleep(settleMs)
  const came = new Set(await recorder.finish<number[]>())
  const changes = changesSeen(sent, came)
  t.log(`${sent} probes, ${(sent / tookMs).toFixed(1)} a millisecond, ${changes.length} changes seen`)
  t.true(sent / tookMs > leastProbesPerMs, 'the probes are dense')
  t.true(sawFirst(0, came), 'the first probe sees the first policy')
  return changes
}

kernelTest('replacing a policy is atomic to packets', async (t) => {
  t.timeout(60_000)
  const changes = await probeReplacements(t, (agent, allowed, denied) => agent.apply(allowOne(allowed, denied)))
  t.is(changes.length, replacements, `the policy seen changes at ${changes.join(' ')}`)
})

kernelTest('the same probes notice a replacement in two steps, with both denied between them', async (t) => {
  t.timeout(60_000)
  const changes = await probeReplacements(t, async (agent, allowed, denied) => {
    await agent.apply(ciliumPolicy('between', 'server', { ingressDeny: [{ fromEndpoints: apps('a', 'b') }] }))
    await agent.apply(allowOne(allowed, denied))
    await agent.deletePolicy('CiliumNetworkPolicy', 'default', 'between')
  })
  t.true(changes.length > 2 * replacements, `${changes.length}`)
})
