// A large folder of manifests: workloads in files of a hundred documents, a policy a file.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface FolderSize {
  readonly policies: number
  readonly workloads: number
  /** How many of the workloads have an interface on this node. */
  readonly endpoints: number
}

const DOCUMENTS_PER_FILE = 100
const APPS = 50
const NAMESPACE = 'bench'
const PORT = 8080

export function interfaceOf(workload: number): string {
  return `bench${workload}`
}

export function macOf(workload: number): string {
  return `02:00:00:00:${byte(workload >> 8)}:${byte(workload)}`
}

function policyName(policy: number): string {
  return `policy-${policy}`
}

/** `generation` stands in a comment of every file, so each of them differs from what it was and means the same. */
export function writeFolder(folder: string, { policies, workloads, endpoints }: FolderSize, generation: number): void {
  mkdirSync(folder, { recursive: true })
  for (let first = 0; first < workloads; first += DOCUMENTS_PER_FILE) {
    const documents = Array.from({ length: Math.min(DOCUMENTS_PER_FILE, workloads - first) }, (_, index) => workload(first + index, endpoints))
    write(folder, `workloads-${first}`, documents, generation)
  }
  for (let index = 0; index < policies; index++) writePolicy(folder, index, PORT, generation)
}

export function writePolicy(folder: string, index: number, port: number, generation: number): void {
  write(folder, policyName(index), [policy(index, port)], generation)
}

function write(folder: string, name: string, documents: readonly string[], generation: number): void {
  writeFileSync(join(folder, `${name}.yaml`), `# ${generation}\n${documents.join('---\n')}`)
}

function workload(index: number, endpoints: number): string {
  const link = index < endpoints ? `\n  interface: ${interfaceOf(index)}\n  mac: ${macOf(index)}` : ''
  return `apiVersion: sluice.io/v1
kind: Workload
metadata:
  name: workload-${index}
  namespace: ${NAMESPACE}
  labels: {app: app-${index % APPS}, release: "${index % 7}", instance: instance-${index}}
spec:
  addresses: [10.77.${index >> 8}.${index & 0xff}, "fd77::${index.toString(16)}"]${link}
`
}

function policy(index: number, port: number): string {
  return `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: ${policyName(index)}
  namespace: ${NAMESPACE}
spec:
  endpointSelector: {matchLabels: {app: app-${index % APPS}}}
  ingress:
    - fromEndpoints: [{matchLabels: {app: app-${(index * 7 + 1) % APPS}}}, {matchLabels: {release: "${index % 7}"}}]
      toPorts: [{ports: [{port: "${port + index}", protocol: TCP}]}]
    - fromCIDR: [198.51.${index % 256}.0/24]
`
}

function byte(value: number): string {
  return (value & 0xff).toString(16).padStart(2, '0')
}
