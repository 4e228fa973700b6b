// The demo: `up` makes a node with workloads, sends real requests, compares what happens with what is expected and
// leaves everything running; `down` removes it. Without root or BPF the engine alone shows the same decisions.
import { spawnSync } from 'node:child_process'
import type { Flow } from '../../observe/index.ts'
import { type Agent, Lab, missingPrivilege } from '../index.ts'
import { down, isRunning } from './down.ts'
import { buildLab, type DemoLab, demoName, manifestFolder, readManifests } from './build.ts'
import { isPlausible, measureShares } from './distribution.ts'
import { expectations, observe } from './expectations.ts'
import { distributionTable, flowTable, isAsExpected, observationTable, say } from './report.ts'

const shownFlows = 6

async function up(signal: AbortSignal): Promise<boolean> {
  const missing = missingPrivilege()
  if (missing !== undefined) return showDecisionsAlone(missing)
  const cluster = await readManifests()
  if (isRunning()) say('a demo is running: it is removed, and a new one takes its place')
  await using lab = await Lab.create({ name: demoName, signal })
  say(`making a node, ${cluster.workloads.length} workloads, the balancer's backends and hosts outside`)
  const demo = await buildLab(lab, cluster)
  say('starting the agent')
  const agent = await demo.node.startAgent({ manifests: [manifestFolder] })
  const ok = await show(demo, agent)
  signal.throwIfAborted()
  lab.keep()
  console.log(afterwards(agent.service.logFile))
  return ok
}

async function show(demo: DemoLab, agent: Agent): Promise<boolean> {
  say(`sending ${2 * expectations.length} requests`)
  const observations = await observe(demo, agent)
  console.log(`\n${observationTable(observations)}\n`)
  say('sending 300 requests to each address of the services')
  const shares = await measureShares(demo)
  console.log(`\n${distributionTable(shares)}`)
  console.log(`\nThe last flows:\n${flowTable(await agent.lines<Flow>(`/v1/flows?last=${shownFlows}`))}`)
  const dropped = await agent.lines<Flow>(`/v1/flows?last=${shownFlows}&verdict=dropped`)
  console.log(`\nThe last that were dropped:\n${flowTable(dropped)}`)
  const differing = observations.filter((row) => !isAsExpected(row)).length
  const uneven = shares.filter((share) => !isPlausible(share)).length
  console.log(`\n${observations.length - differing} of ${observations.length} as expected${difference(differing, uneven)}`)
  return differing + uneven === 0
}

function difference(differing: number, uneven: number): string {
  const parts = [
    ...(differing > 0 ? [`${differing} DIFFER, marked X`] : []),
    ...(uneven > 0 ? [`${uneven} services are not spread by their weights or left requests unanswered`] : []),
  ]
  return parts.length === 0 ? '' : `; ${parts.join('; ')}`
}

function afterwards(logFile: string): string {
  return `
The agent goes on running. Look around:
  ./sluice status
  ./sluice endpoint list
  ./sluice observe --last 20 --verdict dropped
  ./sluice policy explain --from demo/guest --to demo/api --port 8080/TCP
  nsenter --net=/run/netns/sluice-${demoName}-guest bash        (a shell in a workload)
Its log is ${logFile}. Stop and remove everything: npm stop`
}

/** The same manifests and the same engine, without a packet. A CI that meets no packet proves nothing, thus fails. */
function showDecisionsAlone(reason: string): boolean {
  const fails = process.env['CI'] === 'true'
  say(`no packets here (${reason}); these are the decisions that the engine computes:`)
  const ports = [...new Set(expectations.map(({ port, protocol = 'TCP' }) => `${port}/${protocol}`))]
  const args = ['policy', 'matrix', '-f', manifestFolder, ...ports.flatMap((port) => ['--port', port])]
  const { status } = spawnSync('./sluice', args, { stdio: 'inherit' })
  if (fails) say(`failed: CI=true wants real packets, and ${reason}`)
  return status === 0 && !fails
}

/** An interrupted demo removes what it made. */
function interruption(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => controller.abort(new Error(`interrupted by ${signal}, everything was removed`)))
  }
  return controller.signal
}

const signal = interruption()
try {
  const ok = process.argv[2] === 'down' ? await down() : await up(signal)
  process.exitCode = ok ? 0 : 1
} catch (error) {
  const cause: unknown = signal.aborted ? signal.reason : error
  say(`failed: ${cause instanceof Error ? cause.message : String(cause)}`)
  process.exitCode = 1
}
