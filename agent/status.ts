// One answer to "does it work, and if not, what is to be done": GET /v1/status.
import { release } from 'node:os'
import packageJson from '../package.json' with { type: 'json' }
import { formatDetail, type ManifestWarning } from '../manifests/index.ts'
import type { FlowHistory } from '../observe/index.ts'
import type { Degradation, PartState, PartStatus, Status } from './api/types.ts'
import { missingProgram } from './attachments.ts'
import type { Convergence } from './convergence.ts'
import { nameOf } from './endpoints.ts'
import type { RunOptions } from './options.ts'
import type { FlowReport } from './reconcilers/flow-table.ts'
import { NOT_LOADED } from './reconcilers/programs.ts'
import type { ReconcilerState } from './reconcilers/reconciler.ts'
import { groupRefusals } from './refusals.ts'
import { inUsersFiles, isApplied, titleOf, titleOfOrigin } from './sources/applied.ts'
import type { Problem } from './sources/manifests.ts'
import type { Tables } from './tables.ts'

/** One screen names no more of them. */
const NAMED_POLICIES = 3

/** What the worker says of itself. */
export interface PartSources {
  readonly options: RunOptions
  readonly convergence: Convergence
  readonly tables: Tables
  readonly conntrackEntries: number
  /** The balancer's; undefined before all were looked at. */
  readonly flows: FlowReport | undefined
}

export interface Part {
  readonly summary: string
  readonly degraded: readonly Degradation[]
  readonly starting?: boolean
}

export type Parts = Readonly<Record<string, Part>>

export function buildStatus(options: RunOptions, startedAt: Date, all: Parts): Status {
  const parts = Object.entries(all)
  const degraded = parts.flatMap(([, part]) => part.degraded)
  const states = parts.map(([name, part]): [string, PartStatus] => [name, { state: stateOf(part), summary: part.summary }])
  return {
    ok: states.every(([, { state }]) => state === 'ok'),
    pid: process.pid,
    name: options.name,
    version: packageJson.version,
    kernel: release(),
    startedAt: startedAt.toISOString(),
    degraded,
    parts: Object.fromEntries(states),
    options: {
      stateDir: options.stateDir,
      socket: options.socket,
      bpffs: options.bpffs,
      manifests: options.manifests,
      ...(options.uplink !== undefined && { uplink: options.uplink }),
      workloadRanges: options.workloadRanges,
    },
  }
}

function stateOf({ degraded, starting }: Part): PartState {
  return degraded.length > 0 ? 'degraded' : starting === true ? 'starting' : 'ok'
}

export function partsOf(sources: PartSources): Parts {
  const { convergence, tables, conntrackEntries } = sources
  const reconciler = (name: string): Degradation[] =>
    convergence.reconcilers.filter((each) => each.name === name).flatMap(({ state }) => failureOf(state))
  return {
    sources: sourcesPart(sources, reconciler('sources')),
    datapath: datapathPart(sources, reconciler('datapath')),
    policy: {
      summary: `${tables.policies.size} policies, ${tables.identities.size} identities, ${tables.addresses.size} addresses`,
      degraded: [...reconciler('policy'), ...policyWarnings(sources), ...hostPolicyAudit(sources)],
      starting: !convergence.enforced,
    },
    endpoints: endpointsPart(sources),
    services: {
      summary: `${tables.services.size} frontends, ${tables.backends.size} backends`,
      degraded: [...reconciler('services'), ...idlePrefilter(sources)],
      starting: convergence.programmedServices === undefined,
    },
    balancer: balancerPart(sources),
    programs: programsPart(sources, reconciler('programs')),
    conntrack: { summary: `${conntrackEntries} entries`, degraded: [] },
  }
}

/** With what audit alone has let pass: by which policies, those with the most flows first. */
export function flowsSummary(history: FlowHistory): string {
  const kept = `${history.size} flows kept`
  const audited = history.last(history.size, ({ verdict }) => verdict === 'audited')
  if (audited.length === 0) return kept
  const policies = [...Map.groupBy(audited, ({ policy, rule }) => policy ?? `rule ${rule}`)].sort(([, a], [, b]) => b.length - a.length)
  const named = policies.slice(0, NAMED_POLICIES).map(([policy, flows]) => `${flows.length} by ${policy}`)
  const others = policies.length > NAMED_POLICIES ? ` and ${policies.length - NAMED_POLICIES} more` : ''
  return `${kept}; would be dropped but for audit: ${named.join(', ')}${others}`
}

/** What is in force and not enforced as it is written: the first place of each kind in a policy stands for all. */
function policyWarnings({ convergence }: PartSources): Degradation[] {
  return [...convergence.desired.degradedPolicies].flatMap(({ kind, namespace, name, warnings }) =>
    [...Map.groupBy(warnings, ({ code }) => code).values()].flatMap(([first, ...more]) => {
      if (first === undefined) return []
      const others = more.length === 0 ? '' : ` (and ${more.length} more places)`
      return [{
        what: `policy ${titleOf({ kind, namespace, name })}`,
        why: `${placeOf(first)}: ${first.problem}${others}`,
        hint: first.effect,
      }]
    }),
  )
}

/** The file of what was applied is not known any more. */
function placeOf({ file, line, path }: ManifestWarning): string {
  return isApplied(file) ? path : `${file}:${line}: ${path}`
}

/** The dry run is the default, so whoever wrote a policy of nodes may not know of it. */
function hostPolicyAudit({ options, convergence }: PartSources): Degradation[] {
  if (options.hostPolicy === 'enforce' || !convergence.desired.hasHostPolicies) return []
  return [
    {
      what: 'policies of nodes',
      why: 'this node only reports what they would drop of its own traffic',
      hint: 'look at sluice observe --verdict audited, then start sluiced with --host-policy enforce',
    },
  ]
}

/** Only XDP asks the prefilter. */
function idlePrefilter({ options, convergence }: PartSources): Degradation[] {
  const { deny } = convergence.desired.prefilter.ranges
  if (deny.length === 0 || (options.uplink !== undefined && options.xdpMode !== 'off')) return []
  const why = options.uplink === undefined ? 'there is no uplink' : 'XDP is off'
  return [{ what: `prefilter of ${deny.length} prefixes`, why, hint: 'start sluiced with --uplink, and --xdp-mode auto; until then nothing of it is dropped' }]
}

function sourcesPart({ options, convergence }: PartSources, failures: Degradation[]): Part {
  const folders = [...convergence.sources.unreadableFolders].map(([folder, why]) => ({
    what: `manifests of ${folder}`,
    why,
    hint: 'make the folder readable; until then what it held before stays enforced',
  }))
  const { problems, effectiveCount } = convergence.sources
  return {
    summary: `${effectiveCount} manifests in force, folders: ${options.manifests.length}`,
    degraded: [...failures, ...folders, ...problems.map(problemOf)],
    starting: !convergence.isDesired,
  }
}

function problemOf({ name, details, lastGood }: Problem): Degradation {
  // A conflict holds for the new text and for the last good one, and is still one fault.
  const why = [...new Set(inUsersFiles(details, []).map(formatDetail))].join('\n')
  if (isApplied(name)) {
    const hint = 'nothing of it is enforced; apply it again without the conflict, or sluice policy delete -f its file'
    return { what: `${titleOfOrigin(name)}, applied through the API`, why, hint }
  }
  const hint = lastGood ? 'correct the file; its last good version is enforced' : 'correct the file; nothing of it is enforced'
  return { what: `manifest ${name}`, why, hint }
}

function datapathPart({ convergence }: PartSources, failures: Degradation[]): Part {
  const start = convergence.kernelStart
  const refused = groupRefusals(start?.refused ?? []).map(({ objects, message }) => ({
    what: `programs of ${objects.join(', ')}`,
    why: message,
    hint: 'it is tried again by itself; programs that were attached before stay attached',
  }))
  return {
    summary: start === undefined ? 'not loaded' : `${start.maps.length} maps, ${start.takenOver} endpoints taken over`,
    degraded: refused.length > 0 ? refused : failures,
    starting: start === undefined,
  }
}

/** What keeps an endpoint's programs from being attached shows at programs or datapath. */
function endpointsPart({ convergence, tables }: PartSources): Part {
  const { items } = tables.endpoints.list()
  const degraded = convergence.desired.endpoints
    .filter(({ state }) => state !== 'ready')
    .map(({ workload, state, reason }) => ({
      what: `endpoint ${nameOf(workload)}`,
      why: reason ?? state,
      hint: state === 'waiting' ? 'it is taken up as soon as the interface exists' : 'it has no traffic until this is corrected',
    }))
  const ready = items.filter(({ state }) => state === 'ready').length
  const failing = new Set(convergence.programReport?.failures.map(({ attachment }) => attachment.ifindex))
  const starting = items.some(({ state, ifindex }) => state === 'waiting' && ifindex !== 0 && !failing.has(ifindex))
  return { summary: `${ready} of ${items.length} ready`, degraded, starting }
}

function balancerPart({ flows }: PartSources): Part {
  if (flows === undefined) return { summary: 'its flows are not looked at yet', degraded: [] }
  const { established, refusedLately, changing } = flows
  const full = {
    what: 'flows of the balancer',
    why: `${refusedLately} flows found no room lately`,
    hint: 'they break when their slot changes hands again; start sluiced with --map-size balanced4=N or balanced6=N, N above what it is now',
  }
  return { summary: `${changing.slots} slots change hands, ${established} flows remembered`, degraded: refusedLately > 0 ? [full] : [] }
}

function programsPart({ convergence, options }: PartSources, failures: Degradation[]): Part {
  const attached = convergence.programReport?.attached ?? []
  const fallbacks = attached.flatMap(({ name, interface: device, fallback }) =>
    fallback === undefined ? [] : [{ what: `program ${name} on ${device}`, why: fallback, hint: 'it works, but slower' }],
  )
  const missing = convergence.missingUplink
    ? [{ what: `uplink ${options.uplink}`, why: 'the interface does not exist', hint: 'create it, or give another --uplink' }]
    : []
  const unattached = (convergence.programReport?.failures ?? []).filter(({ code }) => code !== NOT_LOADED).map(missingProgram)
  const degraded = unattached.length > 0 ? unattached : failures
  return { summary: `${attached.length} attached`, degraded: [...degraded, ...fallbacks, ...missing], starting: convergence.programReport === undefined }
}

function failureOf({ name, error }: ReconcilerState): Degradation[] {
  if (error === undefined) return []
  return [{ what: name, why: error.message, hint: error.hint ?? 'it is tried again by itself; what was enforced before stays enforced' }]
}
