// What the offline commands are given: manifests, ports and the ends of a connection.
import { Option } from 'commander'
import { formatAddress, parseAddress } from '../../engine/index.ts'
import { compile, formatWarning, PROTOCOLS, translationHint } from '../../manifests/index.ts'
import type { Cluster, ManifestError, ProtocolName, Workload } from '../../manifests/index.ts'
import { loadFiles } from '../../manifests/load.ts'
import { CliError } from '../errors.ts'

export function fileOption(): Option {
  return new Option('-f, --filename <path...>', 'files or folders of manifests (*.yaml, *.yml, *.json)')
}

/**
 * The cluster that the manifests describe; what of it is not enforced as written is told on standard error. Throws
 * CliError with every fault, a line each, if there is any.
 */
export async function readCluster(paths: readonly string[]): Promise<Cluster> {
  const files = await loadFiles(paths)
  const cluster = compile(files.flatMap(({ documents }) => documents))
  const errors: readonly ManifestError[] = [...files.flatMap((file) => file.errors), ...cluster.errors]
  if (errors.length === 0) {
    for (const warning of cluster.warnings) process.stderr.write(`warning: ${formatWarning(warning)}\n`)
    return cluster
  }
  const count = errors.length === 1 ? 'one fault' : `${errors.length} faults`
  throw new CliError(`${count} in the manifests:\n${errors.map(({ message }) => `  ${message}`).join('\n')}`)
}

/** A protocol and a port to ask about. */
export interface Probe {
  /** As written on the command line. */
  readonly text: string
  readonly protocol: number
  /** ICMP: `type << 8`. */
  readonly port: number
}

/** `80/TCP`, `80` (TCP), `53/udp`, `8/ICMP` (a type). */
export function parseProbe(text: string): Probe {
  const [, number = '', name = 'TCP'] = /^(\d{1,5})(?:\/(\w+))?$/.exec(text) ?? []
  const known = (Object.keys(PROTOCOLS) as ProtocolName[]).find((protocol) => protocol.toLowerCase() === name.toLowerCase())
  const icmp = known === 'ICMP' || known === 'ICMPv6'
  const valid = icmp ? Number(number) <= 255 : Number(number) >= 1 && Number(number) <= 65_535
  if (number === '' || known === undefined || !valid) {
    const allowed = '1 to 65535 with TCP, UDP or SCTP, e.g. 80/TCP; or a type from 0 to 255 with ICMP or ICMPv6'
    throw new CliError(`port '${text}' is not PORT/PROTOCOL: ${allowed}`)
  }
  return { text, protocol: PROTOCOLS[known], port: icmp ? Number(number) << 8 : Number(number) }
}

/** One end of a connection: a workload, by name or by one of its addresses, or an address outside. */
export interface End {
  readonly workload?: Workload
  /** Canonical text; absent where the workload was named and any of its addresses may serve. */
  readonly address?: string
}

/** `namespace/name` or an address. Throws CliError where there is no such workload. */
export function parseEnd(cluster: Cluster, text: string): End {
  const bytes = parseAddress(text)
  if (bytes !== undefined) {
    const address = formatAddress(bytes)
    const workload = cluster.workloads.find(({ addresses }) => addresses.includes(address))
    return workload === undefined ? { address } : { address, workload }
  }
  const workload = cluster.workloads.find((candidate) => nameOf(candidate) === text)
  if (workload !== undefined) return { workload }
  const known = cluster.workloads.map(nameOf)
  const shown = known.slice(0, 10).join(', ')
  throw new CliError(
    `'${text}' is neither an address nor the namespace/name of a Pod or Workload in the manifests; there ` +
      (known.length === 0 ? 'is none' : `are ${shown}${known.length > 10 ? `, and ${known.length - 10} more` : ''}`),
  )
}

/** Throws CliError for a Service's own address: see translationHint. */
export function refuseVip(cluster: Cluster, { address }: End, { text, protocol, port }: Probe): void {
  const hint = address === undefined ? undefined : translationHint(cluster, address, protocol, port)
  if (hint !== undefined) throw new CliError(`${address} ${text} is ${hint}`)
}

export function nameOf({ namespace, name }: Workload): string {
  return `${namespace}/${name}`
}
