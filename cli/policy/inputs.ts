// What the offline commands are given: manifests, ports and the ends of a connection.
import { InvalidArgumentError, Option } from 'commander'
import { readFiles, type ManifestText } from '../../manifests/files/index.ts'
import { addressesFor, clusterName as clusterNames, compile, counter, DEFAULT_CLUSTER_NAME, formatWarning, noSuchPacket, parseDocuments, parseProbe, PROBE_SYNTAX, translationHint, unknownEnd } from '../../manifests/index.ts'
import type { Cluster, ManifestError, ManifestWarning, Probe } from '../../manifests/index.ts'
import { findEnd, nameOf, type End, type HostPolicyMode } from '../../whatif/index.ts'
import { CliError, EXIT } from '../errors.ts'

export function fileOption(): Option {
  return new Option('-f, --filename <path...>', 'files, folders (*.yaml, *.yml, *.json below) or - for standard input')
}

/**
 * The cluster that the manifests describe; what of it is not enforced as written is told on standard error. Throws
 * CliError with every fault, a line each, if there is any.
 */
export async function readCluster(paths: readonly string[], options: ClusterOptions = {}): Promise<Cluster> {
  const { cluster } = await readSources(paths, options)
  tellWarnings(cluster.warnings)
  return cluster
}

/** The same, with the texts that it came from, and without a word about warnings. */
export async function readSources(
  paths: readonly string[], { hostAllow = [], clusterName }: ClusterOptions = {},
): Promise<{ readonly cluster: Cluster; readonly texts: readonly ManifestText[] }> {
  const read = await readFiles(paths)
  const texts = read.filter((file) => 'text' in file)
  const files = texts.map(({ file, text }) => parseDocuments(text, file))
  const open = hostAllow.map(({ protocol, port }) => ({ protocol, first: port, last: port }))
  const cluster = compile(files.flatMap(({ documents }) => documents), counter(), open, clusterName)
  const unreadable = read.flatMap((file) => ('error' in file ? [file.error] : []))
  refuseFaults([...unreadable, ...files.flatMap((file) => file.errors), ...cluster.errors], 'the manifests')
  return { cluster, texts }
}

export function tellWarnings(warnings: readonly ManifestWarning[]): void {
  for (const warning of warnings) process.stderr.write(`warning: ${formatWarning(warning)}\n`)
}

/** The text of one file, or of standard input. Throws CliError where it cannot be read. */
export async function readText(path: string): Promise<{ readonly file: string; readonly text: string }> {
  const [read] = await readFiles([path])
  if (read !== undefined && 'text' in read) return read
  throw new CliError(read?.error.message ?? `${path}: cannot be read`)
}

/** Throws CliError with every fault, a line each, if there is any. */
export function refuseFaults(errors: readonly ManifestError[], where: string): void {
  if (errors.length === 0) return
  const count = errors.length === 1 ? 'one fault' : `${errors.length} faults`
  throw new CliError(`${count} in ${where}:\n${errors.map(({ message }) => `  ${message}`).join('\n')}`)
}

const PORT_EXAMPLES = '80/TCP, 53/UDP, 8/ICMP (a type); 80 alone is TCP'

export function portOption(): Option {
  return new Option('--port <port/protocol>', PORT_EXAMPLES).argParser(probeOf).makeOptionMandatory()
}

/** Several ports, after one option or after several. */
export function portsOption(): Option {
  const collect = (text: string, before: readonly Probe[] = []): readonly Probe[] => [...before, probeOf(text)]
  return new Option('--port <port/protocol...>', PORT_EXAMPLES).argParser(collect).makeOptionMandatory()
}

/** Options of `sluiced` that manifests are read with. */
export interface ClusterOptions {
  readonly hostAllow?: readonly Probe[]
  readonly clusterName?: string
}

/** Those that decide about policies: of the same names and defaults. */
export interface DaemonOptions extends Required<ClusterOptions> {
  readonly hostPolicy: HostPolicyMode
}

export function daemonOptions(): readonly Option[] {
  const ssh = probeOf('22/TCP')
  const management = [ssh]
  const collect = (text: string, before: readonly Probe[]): readonly Probe[] => [...(before === management ? [] : before), probeOf(text)]
  return [
    new Option('--host-policy <mode>', 'whether policies of nodes only report what they would drop').choices(['audit', 'enforce']).default('audit'),
    new Option('--host-allow <port/protocol...>', 'ports of nodes that no policy closes').argParser(collect).default(management, ssh.text),
    clusterNameOption(),
  ]
}

export function clusterNameOption(): Option {
  const parse = (text: string): string => {
    if (clusterNames.accepts(text)) return text
    throw new InvalidArgumentError(`Give ${clusterNames.allowed}.`)
  }
  return new Option('--cluster-name <name>', 'value of io.cilium.k8s.policy.cluster').argParser(parse).default(DEFAULT_CLUSTER_NAME)
}

function probeOf(text: string): Probe {
  const probe = parseProbe(text)
  if (probe === undefined) throw new InvalidArgumentError(`Give ${PROBE_SYNTAX}.`)
  return probe
}

/** Throws CliError for a probe whose packets the end cannot send or receive: ICMPv6 where all addresses are IPv4. */
export function refuseImpossible({ address, workload }: End, probe: Probe): void {
  const addresses = address === undefined ? (workload?.addresses ?? []) : [address]
  if (addresses.length === 0 || addressesFor(probe, addresses).length > 0) return
  const name = address ?? (workload === undefined ? 'the end' : nameOf(workload))
  throw new CliError(noSuchPacket(probe, name), { exitStatus: EXIT.usage })
}

/** `namespace/name`, an address, or `host`. Throws CliError where there is no such workload. */
export function parseEnd(cluster: Cluster, text: string): End {
  const end = findEnd(cluster, text)
  if (end === undefined) throw new CliError(unknownEnd(cluster, text))
  return end
}

/** Throws CliError for a Service's own address: see translationHint. */
export function refuseVip(cluster: Cluster, { address }: End, { text, protocol, port }: Probe): void {
  const hint = address === undefined ? undefined : translationHint(cluster, address, protocol, port)
  if (hint !== undefined) throw new CliError(`${address} ${text} is ${hint}`, { exitStatus: EXIT.usage })
}
