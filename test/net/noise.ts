// Changes that alter nothing for the packets of a test, but make the agent write subjects, classes, prefixes and
// addresses of the very flows that run: policies through the API, workloads in the folder.
import { type Agent, ApiFailure } from '../../lab/index.ts'
import type { Random } from '../differential/random.ts'
import type { ManifestFolder } from './manifest-folder.ts'
import { apps, ciliumPolicy } from './policies.ts'

/** Labels that the test's workloads have, and addresses outside that the server allows anyhow. */
export interface NoiseSubjects {
  readonly server: string
  readonly client: string
  readonly stranger: string
  readonly outside: readonly string[]
}

const names = 5
const everywhere = [{ toEndpoints: [{}] }, { toCIDR: ['0.0.0.0/0', '::/0'] }, { toEntities: ['host'] }]

/** What an agent answers that is killed, has not started yet, or does not have what is to be deleted. */
const expected = new Set(['ECONNRESET', 'ECONNREFUSED', 'ENOENT', 'EPIPE', '404', '503'])

export class Noise {
  readonly #random: Random
  readonly #subjects: NoiseSubjects
  readonly #folder: ManifestFolder
  /** Answers of the API that neither its end nor its start explains. */
  readonly faults: string[] = []
  /** Changes that an agent took before it was killed. */
  applied = 0

  constructor(random: Random, folder: ManifestFolder, subjects: NoiseSubjects) {
    this.#random = random
    this.#folder = folder
    this.#subjects = subjects
  }

  /** Some changes, one after the other as the agent answers. */
  async make(agent: Agent): Promise<void> {
    for (let change = 0; change < 4; change++) {
      try {
        await this.#makeOne(agent)
        this.applied++
      } catch (error) {
        const code = error instanceof ApiFailure ? String(error.status) : (error as NodeJS.ErrnoException).code
        if (!expected.has(code ?? '')) this.faults.push(String(error))
      }
    }
  }

  async #makeOne(agent: Agent): Promise<void> {
    const name = `noise-${this.#random.below(names)}`
    switch (this.#random.below(4)) {
      case 0: return agent.deletePolicy('CiliumNetworkPolicy', 'default', name)
      case 1: return this.#changeWorkload()
      default: return agent.apply(this.#policy(name))
    }
  }

  #policy(name: string): object {
    const { server, client, stranger, outside } = this.#subjects
    const nobody = `nobody-${this.#random.below(names)}`
    return this.#random.pick([
      ciliumPolicy(name, server, { ingress: [{ fromEndpoints: apps(nobody, client) }] }),
      ciliumPolicy(name, server, { ingress: [{ fromCIDR: this.#random.some(1, 2, () => this.#random.pick(outside)) }] }),
      ciliumPolicy(name, server, { ingressDeny: [{ fromEndpoints: apps(stranger, nobody) }] }),
      ciliumPolicy(name, client, { egress: everywhere }),
      ciliumPolicy(name, nobody, { ingress: [{ fromEndpoints: apps(client) }, { fromCIDR: outside }] }),
    ])
  }

  /** A workload of another node comes, changes its labels, or goes. */
  #changeWorkload(): void {
    const name = `elsewhere-${this.#random.below(names)}`
    if (this.#random.chance(0.4)) return this.#folder.remove(name)
    this.#folder.write(name, {
      apiVersion: 'sluice.io/v1',
      kind: 'Workload',
      metadata: { name, namespace: 'default', labels: { app: this.#random.pick([this.#subjects.client, this.#subjects.stranger, 'nobody-1']) } },
      spec: { addresses: [`10.77.2.${name.at(-1)}`, `fd77:2::${name.at(-1)}`] },
    })
  }
}
