// Options of the daemon: flags, then SLUICE_* of the environment, then the YAML file of --config, then defaults.
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parse } from 'yaml'
import yargs from 'yargs'
import type { Argv, InferredOptionTypes, Options } from 'yargs'
import { mapSpecs } from '../bpf/index.ts'
import type { PortMatch } from '../engine/index.ts'
import { clusterName, DEFAULT_CLUSTER_NAME, DENY_ANSWERS, type DenyAnswer, parseProbe, PROBE_SYNTAX } from '../manifests/index.ts'
import { AgentError } from './errors.ts'
import { LOG_LEVELS, type LogLevel } from './log.ts'

const HOST_POLICY_MODES = ['audit', 'enforce'] as const
export type HostPolicyMode = (typeof HOST_POLICY_MODES)[number]

export interface RunOptions {
  readonly name: string
  readonly stateDir: string
  readonly socket: string
  /** Folder under a mounted bpffs that is this agent's own. */
  readonly bpffs: string
  /** Folder in the cgroup2 hierarchy that the agent puts itself into. */
  readonly cgroup: string | undefined
  readonly manifests: readonly string[]
  readonly uplink: string | undefined
  readonly xdpMode: 'auto' | 'native' | 'generic' | 'off'
  readonly workloadRanges: readonly string[]
  /** Of this node, and of workloads that do not say themselves. */
  readonly denyAnswer: DenyAnswer
  readonly hostPolicy: HostPolicyMode
  /** Ports of this node that host policies cannot close. */
  readonly hostAllow: readonly PortMatch[]
  /** Value of the label `io.cilium.k8s.policy.cluster` of every workload. */
  readonly clusterName: string
  readonly flowHistory: number
  /** Entries of maps by name, where not those of bpf/maps.h. */
  readonly mapSizes: Readonly<Record<string, number>>
  /** Folder of the compiled programs. */
  readonly bpfObjects: string
  readonly logLevel: LogLevel
  /** The node's own processes reach its workloads whatever policy says. */
  readonly allowHost: boolean
  /** Every new flow is an event, not only what is dropped, audited or revoked. */
  readonly reportFlows: boolean
  /** Remove everything from the kernel when the agent stops. */
  readonly cleanup: boolean
}

/** Of `decap --source`: whoever can reach the interface may send to the VIPs in any client's name. */
export const ANY_SOURCE = 'any'

export interface DecapOptions {
  readonly interface: string
  readonly vips: readonly string[]
  /** Prefixes or addresses of balancers that are trusted, or ANY_SOURCE. */
  readonly sources: readonly string[]
  readonly bpffs: string
  /** `off`: by tc, which `auto` also falls back to. */
  readonly xdpMode: 'auto' | 'native' | 'generic' | 'off'
  /** Follow the interface's addresses until the process ends; what is attached stays. */
  readonly follow: boolean
  readonly detach: boolean
}

export type Command =
  | { readonly command: 'run'; readonly options: RunOptions }
  | { readonly command: 'cleanup'; readonly options: RunOptions }
  | { readonly command: 'decap'; readonly options: DecapOptions }

const CONFIG_FLAG = { type: 'string', describe: 'YAML file with the same options', requiresArg: true } as const

const RUN_FLAGS = {
  config: CONFIG_FLAG,
  name: { type: 'string', default: 'node', describe: 'Name of this node', requiresArg: true },
  'state-dir': { type: 'string', describe: 'State that survives the agent [/var/lib/sluice/NAME]', requiresArg: true },
  socket: { type: 'string', describe: 'Unix socket of the API [/run/sluice/NAME/sluice.sock]', requiresArg: true },
  bpffs: { type: 'string', describe: 'Folder of pinned maps and links [/sys/fs/bpf/sluice-NAME]', requiresArg: true },
  cgroup: { type: 'string', describe: 'cgroup2 folder that the agent puts itself into; made if it is missing', requiresArg: true },
  manifests: { type: 'string', array: true, default: [], describe: 'Folder of manifests, watched; repeatable', requiresArg: true },
  uplink: { type: 'string', describe: 'Interface towards the world', requiresArg: true },
  'xdp-mode': { choices: ['auto', 'native', 'generic', 'off'], default: 'auto', describe: 'How the balancer attaches to the uplink' },
  'workload-range': { type: 'string', array: true, default: [], describe: "Range of this node's workloads; repeatable", requiresArg: true },
  'deny-answer': { choices: DENY_ANSWERS, default: 'drop', describe: 'What a sender hears of a packet that a policy refuses: nothing, or a reset or ICMP error' },
  'host-policy': { choices: HOST_POLICY_MODES, default: 'audit', describe: "Whether policies of nodes only report what they would drop of this node's own traffic" },
  'host-allow': { type: 'string', array: true, default: ['22/TCP'], describe: 'Port of this node that no host policy closes; repeatable', requiresArg: true },
  'cluster-name': { type: 'string', default: DEFAULT_CLUSTER_NAME, describe: 'Name of the cluster: label io.cilium.k8s.policy.cluster of every workload', requiresArg: true },
  'flow-history': { type: 'number', default: 16_384, describe: 'Flows that are kept for `sluice observe`' },
  'allow-host': { type: 'boolean', default: true, describe: "The node's own processes reach its workloads whatever policy says" },
  'report-flows': { type: 'boolean', default: true, describe: 'Report every new flow, not only drops, audits and revocations' },
  'map-size': { type: 'string', array: true, default: [], describe: 'NAME=ENTRIES of a map of bpf/maps.h; repeatable', requiresArg: true },
  'bpf-objects': { type: 'string', describe: 'Folder of the compiled programs [build/bpf]', requiresArg: true },
  'log-level': { choices: LOG_LEVELS, default: 'info', describe: 'Least level that is logged' },
  cleanup: { type: 'boolean', default: false, describe: 'Remove everything from the kernel on stop' },
} as const satisfies Record<string, Options>

const DECAP_FLAGS = {
  config: CONFIG_FLAG,
  interface: { type: 'string', demandOption: true, describe: 'Interface that balanced packets arrive on', requiresArg: true },
  vip: { type: 'string', array: true, default: [], describe: 'Address that is accepted inside; repeatable', requiresArg: true },
  source: { type: 'string', array: true, default: [], describe: 'Address or prefix of balancers that are trusted, or "any"; repeatable', requiresArg: true },
  bpffs: { type: 'string', default: '/sys/fs/bpf/sluice-decap', describe: 'Folder of the pinned map and link', requiresArg: true },
  'xdp-mode': { choices: ['auto', 'native', 'generic', 'off'], default: 'auto', describe: 'How it attaches; off: by tc; auto: natively, or by tc where the driver has no XDP' },
  follow: { type: 'boolean', default: false, describe: "Stay, and follow changes of the interface's addresses" },
  detach: { type: 'boolean', default: false, describe: 'Remove it again' },
} as const satisfies Record<string, Options>

type RunArguments = InferredOptionTypes<typeof RUN_FLAGS>
type DecapArguments = InferredOptionTypes<typeof DECAP_FLAGS>

/** Parses the command line; throws `BAD_OPTION` with what is allowed. `--help` prints and exits. */
export function parseCommand(argv: readonly string[], environment: NodeJS.ProcessEnv): Command {
  let result: Command | undefined
  const lower = (flags: Record<string, Options>) => lowerPrecedence(argv, environment, Object.keys(flags))
  base(argv)
    .command(
      ['run', '$0'],
      'Run the agent of this network namespace',
      (parser) => parser.options(RUN_FLAGS).config(lower(RUN_FLAGS)),
      (args) => void (result = { command: 'run', options: runOptions(args) }),
    )
    .command(
      'cleanup',
      'Remove every program, link and map that a stopped agent left in the kernel',
      (parser) => parser.options(RUN_FLAGS).config(lower(RUN_FLAGS)),
      (args) => void (result = { command: 'cleanup', options: runOptions(args) }),
    )
    .command(
      'decap',
      "Attach the backend's receiving program: packets of a balancer are unwrapped and delivered to the VIPs",
      (parser) => parser.options(DECAP_FLAGS).config(lower(DECAP_FLAGS)),
      (args) => void (result = { command: 'decap', options: decapOptions(args) }),
    )
    .parseSync()
  if (result === undefined) throw new AgentError('BAD_OPTION', 'no command was given', { hint: 'see sluiced --help' })
  return result
}

function base(argv: readonly string[]): Argv {
  return yargs([...argv])
    .scriptName('sluiced')
    .strict()
    .version(false)
    .epilogue('Every option can also come from SLUICE_NAME_OF_OPTION in the environment, lists with commas.')
    .example('$0 --uplink eth0 --manifests /etc/sluice/manifests', 'protect this node with the manifests of a folder')
    .example('$0 decap --interface eth0 --vip 10.77.9.1 --source 10.77.0.1', 'receive balanced connections on a backend')
    .fail((message, error) => {
      if (error instanceof AgentError) throw error
      throw new AgentError('BAD_OPTION', message ?? String(error), { cause: error, hint: 'see sluiced --help' })
    })
}

/** What the environment and then the options file say; flags overrule it. Other SLUICE_* variables are not ours. */
function lowerPrecedence(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
  names: readonly string[],
): Record<string, unknown> {
  const fromEnvironment: Record<string, unknown> = {}
  for (const name of names) {
    const value = environment[`SLUICE_${name.toUpperCase().replaceAll('-', '_')}`]
    if (value !== undefined) fromEnvironment[name] = LISTS.has(name) ? value.split(',') : value
  }
  const config = configPath(argv) ?? fromEnvironment['config']
  return typeof config === 'string' ? { ...readConfig(config), ...fromEnvironment } : fromEnvironment
}

const LISTS = new Set(['manifests', 'workload-range', 'host-allow', 'map-size', 'vip', 'source'])

function configPath(argv: readonly string[]): string | undefined {
  return yargs([...argv]).help(false).version(false).options({ config: CONFIG_FLAG }).parseSync().config
}

function runOptions(args: RunArguments): RunOptions {
  const name = checkName(args.name)
  const stateDir = resolve(args['state-dir'] ?? join('/var/lib/sluice', name))
  return {
    name,
    stateDir,
    socket: resolve(args.socket ?? join('/run/sluice', name, 'sluice.sock')),
    bpffs: resolve(args.bpffs ?? `/sys/fs/bpf/sluice-${name}`),
    cgroup: args.cgroup === undefined ? undefined : resolve(args.cgroup),
    manifests: args.manifests.map((folder) => resolve(folder)),
    uplink: args.uplink,
    xdpMode: args['xdp-mode'],
    workloadRanges: args['workload-range'],
    denyAnswer: args['deny-answer'],
    hostPolicy: args['host-policy'],
    hostAllow: args['host-allow'].map(parseHostPort),
    clusterName: checkClusterName(args['cluster-name']),
    flowHistory: positive('flow-history', args['flow-history']),
    mapSizes: parseMapSizes(args['map-size']),
    bpfObjects: resolve(args['bpf-objects'] ?? join(import.meta.dirname, '../build/bpf')),
    logLevel: args['log-level'],
    allowHost: args['allow-host'],
    reportFlows: args['report-flows'],
    cleanup: args.cleanup,
  }
}

function decapOptions(args: DecapArguments): DecapOptions {
  if (!args.detach && args.vip.length === 0) {
    throw new AgentError('BAD_OPTION', 'decap needs at least one --vip ADDRESS (or --detach)')
  }
  if (!args.detach && args.source.length === 0) {
    throw new AgentError('BAD_OPTION', 'decap needs at least one --source PREFIX of its balancers, or --source any to trust everybody')
  }
  return {
    interface: args.interface,
    vips: args.vip,
    sources: args.source,
    bpffs: resolve(args.bpffs),
    xdpMode: args['xdp-mode'],
    follow: args.follow,
    detach: args.detach,
  }
}

/** The name becomes part of paths under bpffs, which takes no dots. */
function checkName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/.test(name)) return name
  throw new AgentError('BAD_OPTION', `--name ${name} is not valid: letters, digits, "-" and "_", at most 63`)
}

function checkClusterName(name: string): string {
  if (clusterName.accepts(name)) return name
  throw new AgentError('BAD_OPTION', `--cluster-name ${name} is not valid: ${clusterName.allowed}`)
}

function positive(option: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new AgentError('BAD_OPTION', `--${option} ${value} is not valid: a whole number from 1`)
}

function parseHostPort(text: string): PortMatch {
  const probe = parseProbe(text)
  if (probe === undefined) throw new AgentError('BAD_OPTION', `--host-allow ${text} is no ${PROBE_SYNTAX}`)
  return { protocol: probe.protocol, first: probe.port, last: probe.port }
}

/** Of maps whose size is no choice of the operator's, with the reason. */
const FIXED_SIZES: Readonly<Record<string, string>> = {
  endpoints: 'its size is fixed by the build; endpoints_beyond takes what is past its end',
  slot_histories: 'it is as large as slots',
  half_open: 'its size is fixed by the build; it holds what is answered within a round trip',
}

function parseMapSizes(sizes: readonly string[]): Record<string, number> {
  const parse = (text: string): [string, number] => {
    const [name = '', entries] = text.split('=')
    if (!Object.hasOwn(mapSpecs, name)) {
      throw new AgentError('BAD_OPTION', `--map-size ${text} names no map; there are ${Object.keys(mapSpecs).join(', ')}`)
    }
    if (Object.hasOwn(FIXED_SIZES, name)) throw new AgentError('BAD_OPTION', `--map-size ${text} is not possible: ${FIXED_SIZES[name]}`)
    return [name, positive(`map-size ${name}=`, Number(entries))]
  }
  const parsed = Object.fromEntries(sizes.map(parse))
  return { ...parsed, ...(parsed['slots'] !== undefined && { slot_histories: parsed['slots'] }) }
}

function readConfig(path: string): Record<string, unknown> {
  let options: unknown
  try {
    options = parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new AgentError('BAD_OPTION', `cannot read the options file ${path}`, { cause })
  }
  if (options === null) return {}
  if (typeof options === 'object' && !Array.isArray(options)) return { ...options }
  throw new AgentError('BAD_OPTION', `${path} must hold a mapping of options, e.g. "uplink: eth0"`)
}
