// What `sluice policy matrix` computes of documents, and the same table from an evaluator of the documents themselves.
import type { ExecutionContext } from 'ava'
import { stringify } from 'yaml'
import { compile, parseDocuments } from '../../../manifests/index.ts'
import type { TestPod, TestProbe } from '../../../manifests/testing/network-policies.ts'
import { Simulation } from '../../../whatif/index.ts'
import { matrixOf } from '../matrix.ts'
import { probeOf } from './cases.ts'

export type Allowed = (from: TestPod, to: TestPod, probe: TestProbe) => boolean

async function matrixFrom(objects: readonly object[], ports: readonly string[]) {
  const text = objects.map((document) => stringify(document)).join('---\n')
  const { documents, errors } = parseDocuments(text, 'cluster.yaml')
  if (errors[0]) throw errors[0]
  return matrixOf(await Simulation.of(compile(documents)), ports.map(probeOf))
}

function expectedMatrix(pods: readonly TestPod[], isAllowed: Allowed, ports: readonly string[]) {
  const nameOf = ({ namespace, name }: TestPod) => `${namespace}/${name}`
  const of = (text: string) => {
    const [port = '', protocol = ''] = text.split('/')
    const probe = { protocol, port: Number(port) }
    const verdict = (from: TestPod, to: TestPod) => (isAllowed(from, to, probe) ? 'allowed' : 'denied')
    return Object.fromEntries(pods.map((from) => [nameOf(from), Object.fromEntries(pods.map((to) => [nameOf(to), verdict(from, to)]))]))
  }
  return Object.fromEntries(ports.map((text) => [text, of(text)]))
}

/** Compares every cell; a generator that only makes trivial clusters would prove nothing. */
export class Comparison {
  readonly seen = { allowed: 0, denied: 0 }
  readonly #ports: readonly string[]

  constructor(ports: readonly string[]) {
    this.#ports = ports
  }

  async check(t: ExecutionContext, objects: readonly object[], pods: readonly TestPod[], isAllowed: Allowed, what?: string): Promise<void> {
    const expected = expectedMatrix(pods, isAllowed, this.#ports)
    t.deepEqual(await matrixFrom(objects, this.#ports), expected, what)
    for (const rows of Object.values(expected)) {
      for (const row of Object.values(rows)) for (const verdict of Object.values(row)) this.seen[verdict as keyof typeof this.seen]++
    }
  }

  confirm(t: ExecutionContext): void {
    t.true(this.seen.denied > 10_000 && this.seen.allowed > 10_000, JSON.stringify(this.seen))
  }
}
